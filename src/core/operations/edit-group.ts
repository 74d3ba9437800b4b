/** People make groups, which they then own, change and delete them. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Group } from '../project.js'
import { makeGroup } from '../steps/make-group.js'
import { record } from '../steps/record.js'
import { removeLater } from '../steps/remove-later.js'
import { requireFreePath } from '../steps/require-free-path.js'
import { endTokensOfGroups } from '../store/access-tokens.js'
import { markGroupDeleted } from '../store/deletions.js'
import { type GroupChanges, listProjectIdsIn, listSubtree, renameTree, saveGroup } from '../store/groups.js'
import { keepOldPaths } from '../store/old-paths.js'
import { findGroup } from '../store/projects.js'
import { insertRemovals, type Removal } from '../store/removals.js'
import type { Tx } from '../store/write.js'
import { deleteProjectIn } from './delete-project.js'

/** What is said of a group as it is made; `parentId` null: at the top. */
export interface CreateGroupInput {
  name: string
  path: string
  parentId: number | null
  description?: string
  visibility?: Group['visibility']
  /** Who makes it, and is its owner from then on. */
  userId: number
}

/** Returns the group. Throws `not_found` for the parent; `invalid` with `details.field` for a path that is none, or taken. */
export function createGroup(core: Core, input: CreateGroupInput): Promise<Group> {
  return core.store.write(async (tx) => {
    const parent = input.parentId === null ? undefined : await getGroup(tx, input.parentId)
    const fullPath = parent ? `${parent.fullPath}/${input.path}` : input.path
    await requireFreePath(tx, input.path, fullPath)
    const { userId, ...settings } = input
    return makeGroup(core, tx, { ...settings, fullPath }, userId)
  })
}

/** Returns the group as it is now; with its path those of all in it change. Throws as `createGroup` does. */
export function updateGroup(core: Core, groupId: number, changes: GroupChanges): Promise<Group> {
  return core.store.write(async (tx) => {
    const before = await getGroup(tx, groupId)
    if (changes.path !== undefined && changes.path !== before.path) {
      const fullPath = [...before.fullPath.split('/').slice(0, -1), changes.path].join('/')
      if (fullPath.toLowerCase() !== before.fullPath.toLowerCase()) await requireFreePath(tx, changes.path, fullPath)
      const below = (await listSubtree(tx, groupId)).map((group) => group.id)
      await keepOldPaths(tx, await listProjectIdsIn(tx, below))
      await renameTree(tx, groupId, before.fullPath, fullPath)
    }
    await saveGroup(tx, groupId, changes)
    const after = await getGroup(tx, groupId)
    const data = { group: groupId, from: before.fullPath, to: after.fullPath, visibility: after.visibility }
    await record(core, tx, { kind: 'group.changed', data })
    return after
  })
}

/** Deletes the group with all groups and projects in it, as `deleteProject` does. Throws `not_found`. */
export function deleteGroup(core: Core, input: { groupId: number; userId: number | null }): Promise<void> {
  return core.store.write(async (tx) => {
    const { fullPath } = await getGroup(tx, input.groupId)
    const groupIds = (await listSubtree(tx, input.groupId)).map((group) => group.id)
    const removals: Removal[] = []
    for (const projectId of await listProjectIdsIn(tx, groupIds)) {
      removals.push(...(await deleteProjectIn(core, tx, { projectId, userId: input.userId })))
    }
    for (const id of groupIds) await markGroupDeleted(tx, id)
    await endTokensOfGroups(tx, groupIds)
    // Projects come first, and those below before those above: rows that others refer to cannot go.
    removals.push(...(await insertRemovals(tx, 'group', groupIds.toReversed())))
    removeLater(core, tx, removals)
    const data = { path: fullPath, ...(input.userId === null ? {} : { by: input.userId }) }
    await record(core, tx, { kind: 'group.deleted', data })
  })
}

async function getGroup(tx: Tx, id: number): Promise<Group> {
  const group = await findGroup(tx, id)
  if (group?.kind !== 'group') throw new SignalboxError('not_found', `no group ${id}`)
  return group
}
