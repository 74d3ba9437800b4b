// What routes, metrics, background tasks and a start cost with a long history, beside the same with a short one: two
// coordinators at once, asked in turn, so that whatever else the machine does falls on both.
import { mkdirSync } from 'node:fs'
import { child, inFolder, nowUs, runs, scaled, summary } from '../lib.mjs'

const sizes = (process.env.JOBS?.split(',') ?? scaled([1000, 300_000], [100, 400])).map(Number)
const times = scaled(15, 1)
const warmUps = scaled(1, 0)

const config = JSON.stringify({ hi: { script: 'true' } })
const tasks = `expire_leases wake_runners enqueue_due_jobs drop_running drop_scheduled drop_canceling drop_timed_out
  assign_resources finish_work archive_traces prepare_jobs count_usage receive_hooks settle_bridges run_schedules
  stop_environments delete_expired_artifacts evict_caches delete_old_pipelines delete_old_events remove_deleted
  remove_idle_lanes`.split(/\s+/)

/** Of the project where all is found (`busy`), and of the one where most is looked for in vain. */
function routes({ busy, calm, runner, firstJob, firstPipeline }) {
  const of = (id, ...paths) => paths.map((path) => `/api/v4/projects/${id}/${path}`)
  return [
    '/metrics',
    ...of(busy, 'jobs', 'jobs?pagination=keyset', `jobs/${firstJob}`, 'deployments', 'pipelines?scope=tags'),
    ...of(calm, 'jobs?scope=failed', 'jobs?scope=running', 'jobs?scope=created', 'deployments?status=failed'),
    ...of(busy, 'pipelines', 'pipelines?status=failed', 'pipelines?order_by=updated_at', 'pipelines?ref=none'),
    ...of(calm, 'pipelines?status=failed', 'pipelines?source=web', 'pipelines?updated_after=2090-01-01T00:00:00Z'),
    ...of(busy, `pipelines/${firstPipeline}`, `pipelines/${firstPipeline}/jobs`, 'pipelines/latest'),
    `/api/v4/runners/${runner}/jobs`,
    `/api/v4/runners/${runner}/jobs?status=running`,
    `/api/signalbox/v1/jobs/${firstJob}/why`,
  ]
}

export async function* measure() {
  yield* await inFolder(async (root) => {
    const both = []
    try {
      for (const jobs of sizes) both.push(await coordinator(`${root}/${jobs}`, jobs))
      return await compared(both)
    } finally {
      for (const { server } of both) await server.stop()
    }
  })
}

async function compared(both) {
  const names = routes(both[0]).map((path) => path.replace(/(pipelines|jobs)\/\d+/, '$1/:id'))
  const lines = [
    line(
      'start',
      'ms',
      both.map(({ starts }) => starts),
    ),
  ]
  for (const [at, name] of names.entries()) {
    lines.push(line(`GET ${name}`, 'µs', await alternate(both, (one) => get(one, routes(one)[at]))))
  }
  for (const task of tasks) {
    lines.push(line(`task ${task}`, 'µs', await alternate(both, ({ server }) => server.ask('turn', { task }))))
  }
  return lines
}

/** What each of them takes, one after the other; the first rounds warm up. */
async function alternate(both, ask) {
  const values = both.map(() => [])
  for (let i = 0; i < times + 2; i++) {
    for (const [at, one] of both.entries()) {
      const value = await ask(one)
      if (i >= 2) values[at].push(value)
    }
  }
  return values
}

/** Quartiles in place of the extremes: a single answer on a shared machine says nothing. */
function quartiles(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { ...summary(values), min: at(0.25), max: at(0.75) }
}

function line(figure, unit, [short, long]) {
  return {
    figure: `${figure}, ${sizes[1].toLocaleString('en')} ended jobs`,
    unit,
    ours: quartiles(long),
    floor: quartiles(short),
    against: `with ${sizes[0].toLocaleString('en')}`,
    bar: 1.5,
    stretch: 1.2,
  }
}

/** One that has been started several times on its history, and is up. */
async function coordinator(dir, jobs) {
  mkdirSync(dir, { recursive: true })
  let server = child('product/server.mjs')
  await server.ask('start', { dir })
  const [{ id: runner }] = await server.ask('runners', { count: 1 })
  const busy = await server.ask('project', { name: 'busy', config })
  const calm = await server.ask('project', { name: 'calm', config })
  const stop = async () => {
    await server.ask('stop')
    await server.stop()
  }
  await stop()
  const filler = child('product/history.mjs')
  const file = `${dir}/data/signalbox.db`
  const filled = await filler.ask('fill', { file, jobs, projects: [busy, calm], runner })
  await filler.stop()
  const starts = []
  let door
  for (let i = 0; i < warmUps + runs; i++) {
    if (i > 0) await stop()
    server = child('product/server.mjs')
    door = await server.ask('start', { dir })
    if (i >= warmUps) starts.push(door.startedInUs / 1000)
  }
  return { server, busy, calm, runner, starts, ...door, ...filled }
}

async function get({ http, token }, path) {
  const began = nowUs()
  const answer = await fetch(http + path, { headers: { 'PRIVATE-TOKEN': token } })
  await answer.text()
  if (!answer.ok) throw new Error(`${answer.status} ${path}`)
  return nowUs() - began
}
