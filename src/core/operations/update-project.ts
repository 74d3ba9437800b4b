/** A user changes the settings of a project. */
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import type { Project } from '../project.js'
import { moveProject } from '../steps/move-project.js'
import { record } from '../steps/record.js'
import {
  findGroup,
  getProject,
  lockProject,
  type ProjectChanges,
  updateProject as updateRow,
} from '../store/projects.js'
import { refreshShares } from '../store/queue.js'
import type { Tx } from '../store/write.js'

const shortestTimeoutS = 600
const longestTimeoutS = 30 * 24 * 3600

/**
 * Returns the project as it is now; what waits in its queue follows at once. Throws `not_found`; `invalid` with
 * `details.field` for a timeout that is not from ten minutes to a month, for a path that is none or taken, and for a default branch that is not there, unless
 * the present one is not either.
 */
export async function updateProject(
  core: Core,
  input: { projectId: number; changes: ProjectChanges; path?: string | undefined },
): Promise<Project> {
  const { timeoutS } = input.changes
  if (timeoutS !== undefined && (timeoutS < shortestTimeoutS || timeoutS > longestTimeoutS)) {
    const message = 'needs to be between 10 minutes and 1 month'
    throw new SignalboxError('invalid', `build_timeout ${message}`, { details: { field: 'build_timeout', message } })
  }
  const { defaultBranch } = input.changes
  if (defaultBranch !== undefined) await requireBranch(core, input.projectId, defaultBranch)
  return core.store.write(async (tx) => {
    const before = await getProject(tx, input.projectId)
    if (input.path !== undefined && input.path !== before.path) await rename(core, tx, before, input.path)
    const project = await updateRow(tx, input.projectId, input.changes)
    if (
      before.buildsEnabled !== project.buildsEnabled ||
      before.instanceRunnersEnabled !== project.instanceRunnersEnabled
    ) {
      await refreshShares(tx, project.id)
    }
    await record(core, tx, {
      kind: 'project.changed',
      projectId: project.id,
      data: { fields: Object.keys(input.changes).join(' ') },
    })
    return project
  })
}

async function rename(core: Core, tx: Tx, project: Project, path: string): Promise<void> {
  await lockProject(tx, project.id)
  const group = await findGroup(tx, project.groupId)
  if (!group) throw new SignalboxError('not_found', `no namespace ${project.groupId}`)
  await moveProject(core, tx, { project, group, path })
}

/** Of a repository without its default branch, which is empty as a rule, the name of one to come may be told. */
async function requireBranch(core: Core, projectId: number, name: string): Promise<void> {
  const project = await getProject(core.store.read, projectId)
  const there = (branch: string) => core.repositories.resolve(project, `refs/heads/${branch}`)
  if (name === project.defaultBranch || (await there(name)) || !(await there(project.defaultBranch))) return
  throw wrongField('default_branch', `is no branch of the repository: ${name}`)
}
