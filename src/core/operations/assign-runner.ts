/** A project runner is enabled for a further project, or no longer. Rule: gitlab app/services/ci/runners/assign_runner_service.rb. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Runner } from '../runner.js'
import { addRunnerProject, getRunner, removeRunnerProject, runnerScope } from '../store/runners.js'
import { record } from './record.js'

interface Assignment {
  runnerId: number
  projectId: number
}

/** Throws `not_found`; `forbidden` for a runner that is locked, or not a project's. Doing it twice changes nothing. */
export function assignRunner(core: Core, { runnerId, projectId }: Assignment): Promise<Runner> {
  return core.store.write(async (tx) => {
    const runner = await getRunner(tx, runnerId)
    if (runner.type !== 'project')
      throw new SignalboxError('forbidden', `a ${runner.type} runner serves no one project`)
    if (runner.locked === 1) throw new SignalboxError('forbidden', 'Runner is locked')
    await addRunnerProject(tx, runnerId, projectId)
    await record(core, tx, { kind: 'runner.changed', runnerId, projectId, data: { assigned: true } })
    return runner
  })
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
