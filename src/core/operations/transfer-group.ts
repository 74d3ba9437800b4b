/**
 * A group goes below another one, or to the top, with all groups and projects in it. Old paths of the projects lead to them until
 * something else takes those: https://docs.gitlab.com/api/groups/#transfer-a-group
 */
import { canInGroup } from '../authorize-groups.js'
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import type { Group } from '../project.js'
import { record } from '../steps/record.js'
import { requireFreePath } from '../steps/require-free-path.js'
import { listProjectIdsIn, listSubtree, placeGroup, renameTree } from '../store/groups.js'
import { keepOldPaths } from '../store/old-paths.js'
import { findGroup, findGroupByPath, lockGroup } from '../store/projects.js'
import type { User } from '../store/users.js'
import type { Tx } from '../store/write.js'

/**
 * Returns the group where it is then; `parentId` null: at the top. Throws `not_found`; `forbidden` for a group that the user may
 * make no groups in; `invalid` where it is there already, goes below itself, or its path is taken there.
 */
export function transferGroup(
  core: Core,
  input: { groupId: number; parentId: number | null; user: User },
): Promise<Group> {
  const { groupId, parentId, user } = input
  return core.store.write(async (tx) => {
    const parent = parentId === null ? undefined : await getGroup(tx, parentId)
    await lockAll(tx, groupId, parent)
    const group = await getGroup(tx, groupId)
    if (group.parentId === parentId) throw wrongField('group_id', 'is where the group is already')
    if (parent && !(await canInGroup(tx, user, 'grow', parent))) {
      throw new SignalboxError('forbidden', 'you may not make groups there')
    }
    const below = (await listSubtree(tx, groupId)).map((one) => one.id)
    if (parentId !== null && below.includes(parentId)) throw wrongField('group_id', 'is the group itself, or below it')
    const fullPath = parent ? `${parent.fullPath}/${group.path}` : group.path
    await requireFreePath(tx, group.path, fullPath)
    await keepOldPaths(tx, await listProjectIdsIn(tx, below))
    await renameTree(tx, groupId, group.fullPath, fullPath)
    await placeGroup(tx, groupId, parentId)
    await record(core, tx, { kind: 'group.changed', data: { group: groupId, from: group.fullPath, to: fullPath } })
    return getGroup(tx, groupId)
  })
}

/** The group, the one that it goes to and all above that: so no two transfers at once can make a circle. */
async function lockAll(tx: Tx, groupId: number, parent: Group | undefined): Promise<void> {
  const parts = parent?.fullPath.split('/') ?? []
  const ids = [groupId]
  for (let i = 1; i <= parts.length; i++) {
    const above = await findGroupByPath(tx, parts.slice(0, i).join('/'))
    if (above) ids.push(above.id)
  }
  for (const id of ids.toSorted((a, b) => a - b)) await lockGroup(tx, id)
}

async function getGroup(tx: Tx, id: number): Promise<Group> {
  const group = await findGroup(tx, id)
  if (group?.kind !== 'group') throw new SignalboxError('not_found', `no group ${id}`)
  return group
}
