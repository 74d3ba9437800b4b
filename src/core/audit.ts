/**
 * The audit log: who has signed in, and who has changed people, roles, tokens, variables, protections and runners. Entries are
 * a chain: each has a digest over itself and the digest before, made with the key file, so that one that was changed, taken out
 * or put in shows to whoever has that file (`operations/verify-audit.ts`).
 */
import type { EventKind, NewEvent } from './events.js'
import type { Keys } from './tokens/keys.js'

/** One thing that somebody has done. */
export interface AuditEntry {
  /** Counts from 1, without gaps. */
  id: number
  at: number
  kind: string
  /** Who has done it; null: nobody who was known. */
  actorId: number | null
  actorName: string | null
  projectId: number | null
  runnerId: number | null
  /** JSON; never a secret. */
  data: string
  /** Tells the key file that the digest was made with. */
  keyName: string
  digest: string
}

/** Events that are entries too, where it is known who has caused them. */
export const auditKinds = [
  'session.opened',
  'session.ended',
  'session.refused',
  'password.changed',
  'password.link_made',
  'user.changed',
  'member.changed',
  'member.removed',
  'share.changed',
  'share.removed',
  'schedule.stopped',
  'token.created',
  'token.revoked',
  'token.read',
  'variable.changed',
  'runner.created',
  'runner.changed',
  'runner.deleted',
  'project.created',
  'project.changed',
  'project.deleted',
  'group.created',
  'group.changed',
  'group.deleted',
] as const satisfies readonly EventKind[]

const audited: ReadonlySet<EventKind> = new Set(auditKinds)

/** Whether an event becomes an entry: not what the server does of itself, such as a mirror that was fetched. */
export function isAudited(event: NewEvent, by: number | undefined): boolean {
  return audited.has(event.kind) && (by !== undefined || event.data?.by !== undefined)
}

/** What a key file is known by; tells nothing of it. */
export function keyNameOf(keys: Keys): string {
  return keys.mac('audit key').toString('hex').slice(0, 16)
}

/** Proves to who has the key file that the entries up to this one were there when it took the place of another. */
export function boundaryProof(keys: Keys, { id, digest }: Pick<AuditEntry, 'id' | 'digest'>): string {
  return keys.mac(`audit boundary ${id} ${digest}`).toString('hex')
}

/** The digest of an entry after the one with the digest `before`; that of the first is empty. */
export function digestOf(keys: Keys, entry: Omit<AuditEntry, 'digest'>, before: string): string {
  const { id, at, kind, actorId, actorName, projectId, runnerId, data, keyName } = entry
  const text = JSON.stringify([before, id, at, kind, actorId, actorName, projectId, runnerId, data, keyName])
  return keys.mac(`audit ${text}`).toString('hex')
}
