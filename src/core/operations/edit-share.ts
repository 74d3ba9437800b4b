/**
 * Groups that are let into other groups and projects: all their members get at most the level of the share.
 * https://docs.gitlab.com/user/project/members/sharing_projects_groups/
 */
import type { Actor } from '../authorize.js'
import { canInGroup } from '../authorize-groups.js'
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import { accessLevels, type Place } from '../member.js'
import { record } from '../steps/record.js'
import { requireLevel } from '../steps/require-level.js'
import { deleteShare, findShare, saveShare } from '../store/members.js'
import { findGroup, findProject } from '../store/projects.js'
import type { Tx } from '../store/write.js'

export interface ShareInput {
  place: Place
  sharedWithId: number
  /** One of `accessLevels`. */
  accessLevel: number
  /** Milliseconds since 1970; null: for good. */
  expiresAt: number | null
  by: Actor
}

/**
 * Lets a group in, or changes how. Throws `not_found` for a group that the actor may not see; `invalid` with `details.field`
 * for a level that is none, a time that is over, and a group that the place is in or is; `forbidden` for a level above one's own,
 * also where the group has it now.
 */
export function saveGroupShare(core: Core, input: ShareInput): Promise<void> {
  const { place, sharedWithId, accessLevel, expiresAt, by } = input
  return core.store.write(async (tx) => {
    const guest = await findGroup(tx, sharedWithId)
    if (guest?.kind !== 'group' || !(await canInGroup(tx, by.user, 'see', guest))) {
      throw new SignalboxError('not_found', `no group ${sharedWithId}`)
    }
    if (!accessLevels.includes(accessLevel)) throw wrongField('group_access', 'is not included in the list')
    if (expiresAt !== null && expiresAt <= tx.now) throw wrongField('expires_at', 'cannot be a date in the past')
    if (await isAround(tx, place, guest.fullPath)) throw wrongField('group_id', 'is a group that this one is in')
    const known = await findShare(tx, place, sharedWithId)
    await requireLevel(tx, by, place, Math.max(accessLevel, known?.accessLevel ?? 0))
    await saveShare(tx, place, { sharedWithId, accessLevel, expiresAt })
    await record(core, tx, { kind: 'share.changed', ...eventOf(place, sharedWithId, by) })
  })
}

/** Lets it in no longer. Throws `not_found`; `forbidden` where it has a level above one's own. */
export function removeGroupShare(core: Core, input: Pick<ShareInput, 'place' | 'sharedWithId' | 'by'>): Promise<void> {
  const { place, sharedWithId, by } = input
  return core.store.write(async (tx) => {
    await requireLevel(tx, by, place, (await findShare(tx, place, sharedWithId))?.accessLevel ?? 0)
    if (!(await deleteShare(tx, place, sharedWithId))) throw new SignalboxError('not_found', `no share ${sharedWithId}`)
    await record(core, tx, { kind: 'share.removed', ...eventOf(place, sharedWithId, by) })
  })
}

/** Members of a group are in what lies below it anyway. */
async function isAround(tx: Tx, place: Place, guestPath: string): Promise<boolean> {
  const inside = 'projectId' in place ? await findProject(tx, place.projectId) : await findGroup(tx, place.groupId)
  const path = inside?.fullPath ?? ''
  return path === guestPath || path.startsWith(`${guestPath}/`)
}

function eventOf(place: Place, sharedWithId: number, by: Actor) {
  const data = { shared_with: sharedWithId, by: by.user.id }
  return 'projectId' in place ? { projectId: place.projectId, data } : { data: { ...data, group: place.groupId } }
}
