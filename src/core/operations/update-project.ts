/** A user changes the settings of a project. */
import type { Core } from '../core.js'
import { SignalboxError, wrongField } from '../errors.js'
import type { Project } from '../project.js'
import { record } from '../steps/record.js'
import { getProject, type ProjectChanges, updateProject as updateRow } from '../store/projects.js'
import { refreshShares } from '../store/queue.js'

const shortestTimeoutS = 600
const longestTimeoutS = 30 * 24 * 3600

/**
 * Returns the project as it is now; what waits in its queue follows at once. Throws `not_found`; `invalid` with
 * `details.field` for a timeout that is not from ten minutes to a month, and for a default branch that is not there, unless
 * the present one is not either.
 */
export async function updateProject(
  core: Core,
  input: { projectId: number; changes: ProjectChanges },
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

/** Of a repository without its default branch, which is empty as a rule, the name of one to come may be told. */
async function requireBranch(core: Core, projectId: number, name: string): Promise<void> {
  const project = await getProject(core.store.read, projectId)
  const there = (branch: string) => core.repositories.resolve(project, `refs/heads/${branch}`)
  if (name === project.defaultBranch || (await there(name)) || !(await there(project.defaultBranch))) return
  throw wrongField('default_branch', `is no branch of the repository: ${name}`)
}
