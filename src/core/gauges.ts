/**
 * The node's figures of this moment, for `/metrics`: what can be read, as plain data. What can only be counted as it happens
 * is counted from the events. Labels come from closed lists.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Core } from './core.js'
import type { Gauge } from './gauge.js'
import { isStream } from './lease.js'
import {
  countJobsUnderWay,
  countManagers,
  countOpenLeases,
  listWaitingLanes,
  type WaitingLane,
} from './store/figures.js'
import type { Reader } from './store/write.js'
import { gitlabVersion, version } from './version.js'

type GaugeCore = Pick<Core, 'store' | 'dispatcher' | 'clock' | 'memory'>

/** A reading is used again for 1 s: whoever asks often does not keep the store busy. */
const freshMs = 1000
/** A runner process that was heard from since then counts. */
const heardMs = 2 * 3_600_000
const lanesAtOnce = 250

/**
 * Reads the figures; callers of one second share a reading. A million waiting jobs in ten thousand lanes take a few
 * milliseconds at a time. Rejects when the store cannot be read.
 */
export function readGauges(core: GaugeCore): Promise<Gauge[]> {
  const { memory } = core
  const now = core.clock.now()
  if (memory.gauges && now - memory.gauges.at < freshMs) return memory.gauges.reading
  const reading = read(core, now)
  memory.gauges = { at: now, reading }
  reading.catch(() => {
    if (memory.gauges?.reading === reading) memory.gauges = undefined
  })
  return reading
}

async function read({ store, dispatcher }: GaugeCore, now: number): Promise<Gauge[]> {
  return [
    ...(await backlog(store.read, now)),
    await jobsUnderWay(store.read),
    await openLeases(store.read),
    await managers(store.read, now),
    single('signalbox_waiting_runners', 'Runners that wait at this node for a job.', dispatcher.waiters),
    total(
      'signalbox_liveness_violations_total',
      'Eligible jobs seen beside an idle fitting runner for more than 10 s.',
      dispatcher.violations,
    ),
    total('signalbox_store_commits_total', 'Durable commits.', store.stats.commits),
    total('signalbox_store_bodies_total', 'Transaction bodies in these commits.', store.stats.bodies),
    {
      name: 'signalbox_build_info',
      help: 'Always 1: the program that runs.',
      values: [
        {
          labels: { version, gitlab_version: gitlabVersion, node_version: process.version, engine: store.engine },
          value: 1,
        },
      ],
    },
  ]
}

const runnerTypes = ['instance', 'group', 'project'] as const
type RunnerType = (typeof runnerTypes)[number]

async function backlog(from: Reader, now: number): Promise<Gauge[]> {
  const classes = runnerTypes.flatMap((runnerType) =>
    [0, 1].map((tagged) => ({ runnerType, tagged, jobs: 0, queuedAt: now })),
  )
  let after = 0
  for (;;) {
    const lanes = await listWaitingLanes(from, after, lanesAtOnce)
    for (const lane of lanes) {
      const found = classes.find((one) => one.runnerType === widest(lane) && one.tagged === lane.tagged)
      if (!found) continue
      found.jobs += lane.jobs
      found.queuedAt = Math.min(found.queuedAt, lane.queuedAt)
    }
    if (lanes.length < lanesAtOnce) break
    after = lanes.at(-1)?.laneId ?? after
    // On SQLite a read holds up everything else.
    await turn()
  }
  const labels = ({ runnerType, tagged }: { runnerType: RunnerType; tagged: number }) => ({
    runner_type: runnerType,
    class: tagged === 1 ? 'tagged' : 'untagged',
  })
  return [
    {
      name: 'signalbox_backlog',
      help: 'Jobs that wait for a runner, by the widest type of runner that their project takes.',
      values: classes.map((one) => ({ labels: labels(one), value: one.jobs })),
    },
    {
      name: 'gitlab_ci_current_queue_size',
      help: 'Jobs that wait for a runner.',
      values: runnerTypes.map((type) => ({
        labels: { runner_type: `${type}_type` },
        value: classes.filter((one) => one.runnerType === type).reduce((sum, { jobs }) => sum + jobs, 0),
      })),
    },
    {
      name: 'signalbox_backlog_age_seconds',
      help: 'How long the first job has waited, of those that are next in their lane.',
      values: classes.map((one) => ({ labels: labels(one), value: (now - one.queuedAt) / 1000 })),
    },
  ]
}

function widest(lane: WaitingLane): RunnerType {
  return lane.instance === 1 ? 'instance' : lane.group === 1 ? 'group' : 'project'
}

async function jobsUnderWay(from: Reader): Promise<Gauge> {
  const rows = await countJobsUnderWay(from)
  return {
    name: 'signalbox_jobs_under_way',
    help: 'Jobs that have a runner, or wait for their time.',
    values: rows.map(({ status, jobs }) => ({ labels: { status }, value: jobs })),
  }
}

const carriers = ['websocket', 'grpc', 'job_router', 'poll'] as const

async function openLeases(from: Reader): Promise<Gauge> {
  const rows = await countOpenLeases(from)
  const carrierOf = (door: string) => (isStream(door) || door === 'job_router' ? door : 'poll')
  return {
    name: 'signalbox_leases_open',
    help: 'Open leases by state, and by how their runner is reached.',
    values: ['offered', 'held'].flatMap((state) =>
      carriers.map((carrier) => ({
        labels: { state, carrier },
        value: rows
          .filter((row) => row.status === state && carrierOf(row.door) === carrier)
          .reduce((sum, row) => sum + row.leases, 0),
      })),
    ),
  }
}

async function managers(from: Reader, now: number): Promise<Gauge> {
  const rows = await countManagers(from, now - heardMs)
  return {
    name: 'signalbox_runner_managers',
    help: 'Runner processes heard from in the last two hours, by the type of their runner.',
    values: runnerTypes.map((type) => ({
      labels: { runner_type: type },
      value: rows.find((row) => row.runnerType === type)?.managers ?? 0,
    })),
  }
}

function single(name: string, help: string, value: number): Gauge {
  return { name, help, values: [{ labels: {}, value }] }
}

function total(name: string, help: string, value: number): Gauge {
  return { ...single(name, help, value), type: 'counter' }
}
