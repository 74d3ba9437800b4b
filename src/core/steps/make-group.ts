/** Makes a group with its first owner. */
import type { Core } from '../core.js'
import { levels } from '../member.js'
import type { Group } from '../project.js'
import { insertMember } from '../store/members.js'
import { insertGroup } from '../store/projects.js'
import type { Tx } from '../store/write.js'
import { record } from './record.js'

/** Returns the group; the user is its owner. The path must be free. */
export async function makeGroup(
  core: Core,
  tx: Tx,
  group: Pick<Group, 'path' | 'fullPath' | 'parentId'> & Partial<Pick<Group, 'name' | 'description' | 'visibility'>>,
  userId: number,
): Promise<Group> {
  const made = await insertGroup(tx, { ...group, kind: 'group', ownerId: null })
  await insertMember(
    tx,
    { groupId: made.id },
    { userId, accessLevel: levels.owner, expiresAt: null, createdById: userId },
  )
  const data = { group: made.id, path: group.fullPath, by: userId }
  await record(core, tx, { kind: 'group.created', data })
  return made
}
