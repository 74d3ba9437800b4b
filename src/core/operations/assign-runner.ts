/** A project runner is enabled for a further project, or no longer. Rule: gitlab app/services/ci/runners/assign_runner_service.rb. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Runner } from '../runner.js'
import { record } from '../steps/record.js'
import { projectFacts } from '../store/projects.js'
import { addRunnerProject, getRunner, removeRunnerProject, runnerScope } from '../store/runners.js'
import type { Tx } from '../store/write.js'

interface Assignment {
  runnerId: number
  projectId: number
}

/**
 * Throws `not_found`; `forbidden` for a runner that is locked, or not a project's, or another top-level group's where
 * runners are isolated. Doing it twice changes nothing.
 */
export function assignRunner(core: Core, { runnerId, projectId }: Assignment): Promise<Runner> {
  return core.store.write(async (tx) => {
    const runner = await getRunner(tx, runnerId)
    if (runner.type !== 'project')
      throw new SignalboxError('forbidden', `a ${runner.type} runner serves no one project`)
    if (runner.locked === 1) throw new SignalboxError('forbidden', 'Runner is locked')
    if (core.settings.isolateRunners) await requireSameOwner(tx, { runnerId, projectId })
    await addRunnerProject(tx, runnerId, projectId)
    await record(core, tx, { kind: 'runner.changed', runnerId, projectId, data: { assigned: true } })
    return runner
  })
}

/** Rule: gitlab app/services/ci/runners/assign_runner_service.rb; what is an organization there is a top-level group here. */
async function requireSameOwner(tx: Tx, { runnerId, projectId }: Assignment): Promise<void> {
  const topOf = async (id: number) => (await projectFacts(tx, id))?.groupIds.at(-1)
  const top = await topOf(projectId)
  for (const other of (await runnerScope(tx, runnerId)).projectIds) {
    if ((await topOf(other)) === top) continue
    throw new SignalboxError('forbidden', 'the runner serves projects of another top-level group')
  }
}

/** Throws `not_found` if it does not serve the project; `forbidden` when that is its only one. */
export function unassignRunner(core: Core, { runnerId, projectId }: Assignment): Promise<void> {
  return core.store.write(async (tx) => {
    const { projectIds } = await runnerScope(tx, runnerId)
    if (!projectIds.includes(projectId)) throw new SignalboxError('not_found', 'the runner does not serve the project')
    if (projectIds.length === 1) {
      throw new SignalboxError(
        'forbidden',
        'Only one project associated with the runner. Please remove the runner instead',
      )
    }
    await removeRunnerProject(tx, runnerId, projectId)
    await record(core, tx, { kind: 'runner.changed', runnerId, projectId, data: { assigned: false } })
  })
}
