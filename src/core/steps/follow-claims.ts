/** What somebody may do here follows from groups of an OpenID provider: looked at with each sign-in. */
import type { Core } from '../core.js'
import { levels, type Member } from '../member.js'
import type { OpenIdPerson, OpenIdRules } from '../openid.js'
import { listGroupsByIssuer } from '../store/identities.js'
import { countOtherOwners, deleteMember, findMember, saveMember } from '../store/members.js'
import { findGroupByPath, lockGroup } from '../store/projects.js'
import { saveUser, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { record } from './record.js'
import { stopSchedules } from './stop-schedules.js'

/**
 * Gives the user the levels of its groups, and takes those that it has from this provider and no longer should. Members whom
 * somebody has let in stay as they are; so does a group's last owner.
 */
export async function followClaims(
  core: Core,
  tx: Tx,
  { user, person, rules }: { user: User; person: OpenIdPerson; rules: OpenIdRules },
): Promise<void> {
  await followAdmin(core, tx, user, person, rules)
  const wanted = await wantedLevels(tx, person, rules)
  const by = user.id
  for (const [groupId, accessLevel] of wanted) {
    const member = await findMember(tx, { groupId }, user.id)
    const follows = !member || member.issuer === person.issuer
    if (!follows || member?.accessLevel === accessLevel) continue
    if (member && (await isLastOwner(tx, groupId, member))) continue
    const { issuer } = person
    await saveMember(tx, { groupId }, { userId: user.id, accessLevel, expiresAt: null, createdById: null, issuer })
    const data = { user: user.id, level: accessLevel, group: groupId, issuer, by }
    await record(core, tx, { kind: 'member.changed', data })
  }
  for (const groupId of await listGroupsByIssuer(tx, user.id, person.issuer)) {
    if (wanted.has(groupId)) continue
    const member = await findMember(tx, { groupId }, user.id)
    if (member && (await isLastOwner(tx, groupId, member))) continue
    await deleteMember(tx, { groupId }, user.id)
    await stopSchedules(core, tx, user.id)
    const data = { user: user.id, group: groupId, issuer: person.issuer, by }
    await record(core, tx, { kind: 'member.removed', data })
  }
}

/** User 1 stays what it is. */
async function followAdmin(core: Core, tx: Tx, user: User, person: OpenIdPerson, rules: OpenIdRules): Promise<void> {
  if (rules.adminGroup === undefined || user.id === 1) return
  const isAdmin = person.groups.includes(rules.adminGroup) ? 1 : 0
  if (isAdmin === user.isAdmin) return
  await saveUser(tx, user.id, { name: user.name, email: user.email, isAdmin })
  const data = { user: user.id, admin: isAdmin === 1, issuer: person.issuer, by: user.id }
  await record(core, tx, { kind: 'user.changed', data })
}

/** By our group: the highest level that one of the person's groups gives there. */
async function wantedLevels(tx: Tx, person: OpenIdPerson, rules: OpenIdRules): Promise<Map<number, number>> {
  const wanted = new Map<number, number>()
  for (const { claim, group: path, level } of rules.roles) {
    if (!person.groups.includes(claim)) continue
    const group = await findGroupByPath(tx, path)
    // One that is not there yet gives nothing until it is.
    if (group?.kind !== 'group') continue
    wanted.set(group.id, Math.max(wanted.get(group.id) ?? 0, levels[level]))
  }
  return wanted
}

async function isLastOwner(tx: Tx, groupId: number, { userId, accessLevel }: Member): Promise<boolean> {
  if (accessLevel < levels.owner) return false
  await lockGroup(tx, groupId)
  return (await countOtherOwners(tx, groupId, userId)) === 0
}
