/** Step: a project gets its path in a namespace. */
import type { Core } from '../core.js'
import type { Group, Project } from '../project.js'
import { forgetOldPath, keepOldPaths } from '../store/old-paths.js'
import { lockGroup, placeProject } from '../store/projects.js'
import type { Tx } from '../store/write.js'
import { record } from './record.js'
import { requireFreePath } from './require-free-path.js'

/**
 * Returns the project where it is then; the path that it had leads to it until something else takes that. Throws `invalid` with
 * `details.field` for a path that is none, is reserved, or is taken.
 */
export async function moveProject(
  core: Core,
  tx: Tx,
  { project, group, path }: { project: Project; group: Group; path: string },
): Promise<Project> {
  const fullPath = `${group.fullPath}/${path}`
  if (fullPath.toLowerCase() !== project.fullPath.toLowerCase()) {
    await lockGroup(tx, group.id)
    await requireFreePath(tx, path, fullPath)
    await keepOldPaths(tx, [project.id])
    await forgetOldPath(tx, fullPath)
  }
  const moved = await placeProject(tx, project.id, { groupId: group.id, path, fullPath })
  await record(core, tx, {
    kind: 'project.changed',
    projectId: project.id,
    data: { from: project.fullPath, to: fullPath },
  })
  return moved
}
