/**
 * A project goes to another namespace. Its repository, pipelines and members stay; its old path leads to it until something else
 * takes that: https://docs.gitlab.com/api/projects/#transfer-a-project-to-a-new-namespace
 */
import { canInGroup } from '../authorize-groups.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Project } from '../project.js'
import { moveProject } from '../steps/move-project.js'
import { findGroup, getProject, lockProject } from '../store/projects.js'
import type { User } from '../store/users.js'

/**
 * Returns the project where it is then. Throws `not_found`; `forbidden` for a namespace that the user may not make projects in;
 * `invalid` where it is there already, or its path is taken there.
 */
export function transferProject(
  core: Core,
  input: { projectId: number; groupId: number; user: User },
): Promise<Project> {
  return core.store.write(async (tx) => {
    await lockProject(tx, input.projectId)
    const project = await getProject(tx, input.projectId)
    const group = await findGroup(tx, input.groupId)
    if (!group) throw new SignalboxError('not_found', `no namespace ${input.groupId}`)
    if (group.id === project.groupId) throw new SignalboxError('invalid', 'Project is already in this namespace.')
    if (!(await canInGroup(tx, input.user, 'fill', group))) {
      throw new SignalboxError('forbidden', 'this namespace is not yours')
    }
    return moveProject(core, tx, { project, group, path: project.path })
  })
}
