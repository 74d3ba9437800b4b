/** Runners with their processes and what they have in hand: `GET /runners`. */
import type { Runner, RunnerManager } from '../core/runner.js'
import { runnerStatus } from '../core/runner.js'
import { type JobInHand, listInHand, listWaits } from '../core/store/fleet.js'
import { listManagers, listRunners } from '../core/store/runners.js'
import type { Route } from '../http/call.js'
import { toIso } from './convert.js'
import { adminRoute } from './route.js'

const mostRunners = 500

export const fleetRoutes: readonly Route[] = [
  adminRoute('get', '/runners', async ({ core }) => {
    const { read } = core.store
    const [runners, inHand, waits] = [
      await listRunners(read, { limit: mostRunners, offset: 0 }),
      await listInHand(read),
      await listWaits(read),
    ]
    const body = []
    for (const runner of runners) {
      const managers = await listManagers(read, runner.id)
      const jobs = inHand.filter((job) => job.runnerId === runner.id)
      body.push(toFleetRunner(runner, managers, jobs, waits.get(runner.id) ?? [], core.clock.now()))
    }
    return { status: 200, body }
  }),
]

function toFleetRunner(
  runner: Runner,
  managers: readonly RunnerManager[],
  jobs: readonly JobInHand[],
  waits: readonly number[],
  now: number,
): object {
  return {
    id: runner.id,
    description: runner.description,
    type: runner.type,
    status: runnerStatus(runner, now),
    paused: runner.active === 0,
    tags: JSON.parse(runner.tags),
    run_untagged: runner.runUntagged === 1,
    job_limit: runner.jobLimit,
    contacted_at: toIso(runner.contactedAt),
    managers: managers.map(toManager),
    jobs: jobs.map(toJobInHand),
    /** Of the last jobs that it took; null: it has taken none lately. */
    median_wait_ms: waits.length === 0 ? null : waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)],
  }
}

function toManager(manager: RunnerManager): object {
  return {
    system_id: manager.systemId,
    version: manager.version,
    platform: manager.platform,
    architecture: manager.architecture,
    executor: manager.executor,
    contacted_at: toIso(manager.contactedAt),
  }
}

function toJobInHand(job: JobInHand): object {
  return {
    id: job.jobId,
    name: job.name,
    project_path: job.projectPath,
    transport: job.door,
    offered_at: toIso(job.offeredAt),
    started_at: toIso(job.startedAt),
  }
}
