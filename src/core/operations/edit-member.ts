/**
 * Members of groups and projects: who lets them in, changes their level and lets them go. Nobody gives, takes or changes a
 * level above the own one: https://docs.gitlab.com/user/project/members/, https://docs.gitlab.com/api/members/
 */
import { type Actor, levelInPlace } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import { accessLevels, levels, type Member, type Place } from '../member.js'
import { record } from '../steps/record.js'
import { requireLevel } from '../steps/require-level.js'
import { stopSchedules } from '../steps/stop-schedules.js'
import { listBelow } from '../store/groups.js'
import { countOtherOwners, deleteMember, findMember, insertMember, updateMember } from '../store/members.js'
import { lockGroup } from '../store/projects.js'
import { findUser, isPerson } from '../store/users.js'
import type { Tx } from '../store/write.js'

export interface MemberInput {
  place: Place
  userId: number
  /** One of `accessLevels`. */
  accessLevel: number
  /** Milliseconds since 1970; null: for good. */
  expiresAt: number | null
  by: Actor
}

/**
 * Lets a user in. Throws `not_found` for a user that is not there; `conflict` for one who is a member of the place itself;
 * `invalid` with `details.field` for a level that is none or below the one that the user has from a group above, and for a time that
 * is over; `forbidden` for a level above one's own.
 */
export function addMember(core: Core, input: MemberInput): Promise<Member> {
  const { place, userId, accessLevel, expiresAt, by } = input
  return core.store.write(async (tx) => {
    const user = await findUser(tx, userId)
    if (!user || !isPerson(user)) throw new SignalboxError('not_found', `no user ${userId}`)
    checkSettings(tx, input)
    await requireLevel(tx, by, place, accessLevel)
    if (await findMember(tx, place, userId)) throw new SignalboxError('conflict', 'Member already exists')
    const inherited = await levelInPlace(tx, user, place)
    if (user.isAdmin === 0 && accessLevel < inherited) {
      throw wrongField(
        'access_level',
        `should be greater than or equal to ${inherited}, which the user has from a group`,
      )
    }
    await insertMember(tx, place, { userId, accessLevel, expiresAt, createdById: by.user.id })
    return changed(core, tx, input)
  })
}

/**
 * Changes a member of the place itself. Throws `not_found` for one that is not there; `invalid` as `addMember` does;
 * `forbidden` for a level above one's own, for a member who has one, for a later end of one's own membership, and for the last owner
 * of a group.
 */
export function editMember(core: Core, input: MemberInput): Promise<Member> {
  const { place, userId, accessLevel, expiresAt, by } = input
  return core.store.write(async (tx) => {
    const member = await findMember(tx, place, userId)
    if (!member) throw new SignalboxError('not_found', `no member ${userId}`)
    checkSettings(tx, input)
    await requireLevel(tx, by, place, Math.max(accessLevel, member.accessLevel))
    if (by.user.id === userId && by.user.isAdmin === 0) requireNoLonger(member.expiresAt, expiresAt)
    const stays = accessLevel === levels.owner && expiresAt === null
    if (!stays) await requireOtherOwner(tx, place, member)
    await updateMember(tx, place, userId, { accessLevel, expiresAt })
    if (accessLevel < member.accessLevel) await stopSchedules(core, tx, userId)
    return changed(core, tx, input)
  })
}

/** Whoever was let in until a day does not let itself stay. Null: for good. */
function requireNoLonger(before: number | null, after: number | null): void {
  if (before === null || (after !== null && after <= before)) return
  throw new SignalboxError('forbidden', 'the end of your own membership is for others to put off')
}

/** From this level on somebody decides about the members of a place. */
const leastLevel = (place: Place) => ('projectId' in place ? levels.maintainer : levels.owner)

/**
 * Lets a member go; whoever is one may go, others need to be maintainers of the project or owners of the group. `below`: also from
 * the groups and projects below a group. Throws `not_found`; `forbidden` for somebody else whom one's own level does not reach, and
 * for the last owner of a group.
 */
export function removeMember(
  core: Core,
  input: { place: Place; userId: number; below: boolean; by: Actor },
): Promise<void> {
  const { place, userId, by } = input
  return core.store.write(async (tx) => {
    const member = await findMember(tx, place, userId)
    if (!member) throw new SignalboxError('not_found', `no member ${userId}`)
    if (by.user.id !== userId) await requireLevel(tx, by, place, Math.max(member.accessLevel, leastLevel(place)))
    await requireOtherOwner(tx, place, member)
    const places = [place, ...(input.below && 'groupId' in place ? await listBelow(tx, place.groupId) : [])]
    for (const each of places) await deleteMember(tx, each, userId)
    await stopSchedules(core, tx, userId)
    await record(core, tx, { kind: 'member.removed', ...eventOf(place, { user: userId, by: by.user.id }) })
  })
}

async function changed(core: Core, tx: Tx, { place, userId, accessLevel, by }: MemberInput): Promise<Member> {
  const data = { user: userId, level: accessLevel, by: by.user.id }
  await record(core, tx, { kind: 'member.changed', ...eventOf(place, data) })
  return (await findMember(tx, place, userId))!
}

function eventOf(place: Place, data: Record<string, number>) {
  return 'projectId' in place ? { projectId: place.projectId, data } : { data: { ...data, group: place.groupId } }
}

function checkSettings(tx: Tx, { accessLevel, expiresAt }: Pick<MemberInput, 'accessLevel' | 'expiresAt'>): void {
  if (!accessLevels.includes(accessLevel)) throw wrongField('access_level', 'is not included in the list')
  if (expiresAt !== null && expiresAt <= tx.now) throw wrongField('expires_at', 'cannot be a date in the past')
}

/** A group has an owner at any time. */
async function requireOtherOwner(tx: Tx, place: Place, member: Member): Promise<void> {
  if ('projectId' in place || member.accessLevel < levels.owner || member.expiresAt !== null) return
  // Of two who go at once the second sees that the first has gone.
  await lockGroup(tx, place.groupId)
  if ((await countOtherOwners(tx, place.groupId, member.userId)) > 0) return
  throw new SignalboxError('forbidden', 'the last owner of a group cannot go')
}
