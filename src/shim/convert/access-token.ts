/** Access tokens, as gitlab lib/api/entities/{personal,resource}_access_token.rb show them; and what a request gives. */
import type { TokenSettings } from '../../core/operations/edit-access-token.js'
import type { OwnedToken } from '../../core/store/access-tokens.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { toDate, toIso } from './time.js'

export function toAccessToken(row: OwnedToken, now: number): object {
  const over = row.revokedAt !== null || (row.expiresAt !== null && row.expiresAt <= now)
  const { projectId, groupId, accessLevel } = row.user
  return {
    id: row.id,
    name: row.name,
    revoked: row.revokedAt !== null,
    created_at: toIso(row.createdAt),
    description: row.description,
    scopes: JSON.parse(row.scopes),
    user_id: row.userId,
    last_used_at: null,
    active: !over && row.user.state === 'active',
    expires_at: row.expiresAt === null ? null : toDate(row.expiresAt),
    ...(groupId === null ? {} : { access_level: accessLevel, resource_type: 'group', resource_id: groupId }),
    ...(projectId === null ? {} : { access_level: accessLevel, resource_type: 'project', resource_id: projectId }),
  }
}

export function fromTokenSettings(params: Params): TokenSettings {
  const scopes = params.texts('scopes')
  if (!scopes?.length) throw wrongParameter('scopes', 'is missing')
  const description = params.text('description')
  return {
    name: params.requiredText('name'),
    ...(description === undefined ? {} : { description }),
    scopes,
    expiresAt: fromDate(params, 'expires_at'),
  }
}

/** The beginning of a day, in UTC; null: none is given. */
export function fromDate(params: Params, name: string): number | null {
  const text = params.text(name)
  if (!text) return null
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // 2026-02-30 is taken by some engines.
  if (Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== text) throw wrongParameter(name)
  return at
}
