/**
 * A person deletes a project. It is not found from the commit on, and its path is free; its pipelines, their jobs, logs and
 * artifacts, and the repository go right after, by the task `remove_deleted` if a crash comes between.
 */
import type { Core } from '../core.js'
import { record } from '../steps/record.js'
import { removeLater } from '../steps/remove-later.js'
import { markProjectDeleted } from '../store/deletions.js'
import { getProject } from '../store/projects.js'
import { insertRemovals, type Removal } from '../store/removals.js'
import type { Tx } from '../store/write.js'

/** Throws `not_found`. */
export function deleteProject(core: Core, input: { projectId: number; userId: number | null }): Promise<void> {
  return core.store.write(async (tx) => removeLater(core, tx, await deleteProjectIn(core, tx, input)))
}

/** Step: marks the project deleted. Returns what is to be removed after the commit. */
export async function deleteProjectIn(
  core: Core,
  tx: Tx,
  { projectId, userId }: { projectId: number; userId: number | null },
): Promise<Removal[]> {
  const { fullPath } = await getProject(tx, projectId)
  await markProjectDeleted(tx, projectId)
  const data = { path: fullPath, ...(userId === null ? {} : { by: userId }) }
  await record(core, tx, { kind: 'project.deleted', projectId, data })
  return insertRemovals(tx, 'project', [projectId])
}
