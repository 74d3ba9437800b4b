/** A coordinator with a history, and everything that people, runners and tasks ask of it. */
import { fillHistory, settlePostgres } from '../../bench/product/history-rows.mjs'
import { readGauges } from '../../src/core/gauges.js'
import { recoverNode } from '../../src/core/operations/prepare-node.js'
import { taskDefinitions } from '../../src/core/scheduler/tasks.js'
import type { PostgresStore } from '../../src/core/store/postgres-store.js'
import type { SqliteStore } from '../../src/core/store/sqlite-store.js'
import type { Engine } from '../../src/core/store/write.js'
import { onePhaseInfo, type ShimBox, startShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { takeJob } from '../shim/support/running-job.js'
import { eventually } from '../support/eventually.js'
import type { Asking } from './asked.js'

const config = {
  build: { script: 'x' },
  deploy: { stage: 'deploy', script: 'x', resource_group: 'production', environment: 'production' },
  later: { script: 'x', when: 'manual' },
}

export interface Scene extends AsyncDisposable {
  box: ShimBox
  /** Runs a statement, and gives its rows. */
  // biome-ignore lint/suspicious/noExplicitAny: rows of any table, and plans
  run(sql: string, params?: readonly unknown[]): Promise<any[]>
  busy: number
  calm: number
  runner: number
  schedule: number
  firstJob: number
  firstPipeline: number
  environment: number
}

export async function startScene(engine: Engine, jobs: number): Promise<Scene> {
  const box = await startShimBox(engine, { holdMs: 0 })
  const { store, clock } = box.core.core
  const busy = (await box.run(config, 'g/busy')).project.id
  const calm = (await box.run({ test: { script: 'x' } }, 'g/calm')).project.id
  const { runner, manager } = await box.core.runner()
  const schedule = await box.admin('POST', `/projects/${busy}/pipeline_schedules`, {
    json: { description: 'x', ref: 'main', cron: '0 1 * * *' },
  })
  const run: Scene['run'] =
    engine === 'postgres'
      ? async (sql, params = []) => (await (store as PostgresStore).pool.query(sql, [...params])).rows
      : async (sql, params = []) => {
          const statement = (store as SqliteStore).connection.raw.prepare(sql)
          if (statement.reader) return statement.all([...params])
          statement.run([...params])
          // The store believes that nobody else writes.
          ;(store as SqliteStore).connection.known.forgetWritten('unknown')
          return []
        }
  const filled = await fillHistory(run, {
    jobs,
    now: clock.now(),
    projects: [busy, calm],
    runner: runner.id,
    manager: manager.id,
  })
  await run(
    `insert into schedule_pipelines (pipeline_id, schedule_id) select id, ${schedule.body.id} from pipelines where source = 'schedule'`,
  )
  if (engine === 'postgres') await settlePostgres(run)
  const dispose = () => box[Symbol.asyncDispose]()
  return {
    box,
    run,
    busy,
    calm,
    runner: runner.id,
    schedule: schedule.body.id,
    ...filled,
    [Symbol.asyncDispose]: dispose,
  }
}

const jobQueries = ['', ...'failed running pending created manual skipped'.split(' ').map((scope) => `?scope=${scope}`)]
  .concat('?scope[]=failed&scope[]=running', '?pagination=keyset', '?pagination=keyset&scope=failed', '?page=3')
  .concat('?pagination=keyset&sort=asc')
const pipelineQueries = [
  'status=failed',
  'source=schedule',
  'source=web',
  'source=parent_pipeline',
  'ref=main',
  'ref=x',
]
  .concat('running finished pending branches tags'.split(' ').map((scope) => `scope=${scope}`))
  .concat('updated_at status ref user_id'.split(' ').map((column) => `order_by=${column}`))
  .concat('sha=abc', 'name=x', 'username=root', 'username=nobody', 'yaml_errors=true', 'iids[]=1', 'ids[]=1')
  .concat('updated_after=2030-01-01T00:00:00Z', 'updated_before=1990-01-01T00:00:00Z', 'status=success&ref=x')
  .concat('created_after=2030-01-01T00:00:00Z', 'created_before=1990-01-01T00:00:00Z', 'page=2')
const deploymentQueries = ['', '?status=failed', '?status=blocked', '?sort=desc'].concat(
  '?environment=production',
  '?environment=production&status=failed',
  '?environment=none',
)
const runnerQueries = [
  '',
  '?status=running',
  '?status=failed',
  '?status=canceled',
  '?sort=asc',
  '?system_id=s_000000000001',
]

/** Every list, with every filter by itself, of a project where all is found and of one where most is looked for in vain. */
function* lists({ busy, calm, runner, schedule, firstPipeline, firstJob, environment }: Scene): Generator<string> {
  for (const id of [busy, calm]) {
    const at = `/projects/${id}`
    for (const query of jobQueries) yield `${at}/jobs${query}`
    for (const query of ['', ...pipelineQueries]) yield `${at}/pipelines?${query}`
    for (const query of deploymentQueries) yield `${at}/deployments${query}`
    yield* 'runners environments pipeline_schedules resource_groups merge_requests merge_trains releases triggers hooks variables'
      .split(' ')
      .map((name) => `${at}/${name}`)
    yield* ['', '/pipelines/latest', '/environments?search=prod', '/jobs/artifacts/main/download?job=job-9'].map(
      (path) => `${at}${path}`,
    )
    yield `/api/signalbox/v1/projects/${id}/hook-deliveries`
    yield `/api/signalbox/v1/projects/${id}/connection/statuses`
    yield `/api/signalbox/v1/projects/${id}/connection/requests`
  }
  for (const query of runnerQueries) yield `/runners/${runner}/jobs${query}`
  yield* ['', '?status=online'].map((query) => `/runners/all${query}`)
  yield* [`/runners/${runner}`, `/runners/${runner}/managers`]
  const one = `/projects/${busy}/pipelines/${firstPipeline}`
  const parts = [
    '',
    '/jobs',
    '/jobs?scope=failed&include_retried=1',
    '/bridges',
    '/test_report',
    '/test_report_summary',
  ]
  yield* [...parts, '/variables'].map((part) => one + part)
  const at = `/projects/${busy}`
  yield* [
    `${at}/environments/${environment}`,
    `${at}/pipeline_schedules/${schedule}/pipelines`,
    `${at}/jobs/${firstJob}`,
  ]
  yield `${at}/repository/commits/1111111111111111111111111111111100000001/statuses`
  yield* ['', '/events', '/why'].map((part) => `/api/signalbox/v1/jobs/${firstJob}${part}`)
  yield* ['', '/reports'].map((part) => `/api/signalbox/v1/pipelines/${firstPipeline}${part}`)
  yield* ['/api/signalbox/v1/tasks', '/api/signalbox/v1/usage']
  yield* ['/projects', '/projects?search=x', '/groups', '/users', '/namespaces', '/personal_access_tokens', '/runners']
}

/** Asks for everything once. Gives what was refused, which would show nothing. */
export async function askEverything(scene: Scene, asking: Asking): Promise<string[]> {
  const { box, busy, firstJob, firstPipeline, environment } = scene
  const { core, tasks } = box.core
  const refused: string[] = []
  for (const path of lists(scene)) {
    asking.by = path
    const { status } = await box.admin('GET', path)
    if (status >= 400 && !path.includes('/artifacts/')) refused.push(`${status} ${path}`)
  }
  const someone = await person(box, 'someone')
  for (const path of ['/runners', '/projects', '/projects?owned=1', '/groups']) {
    asking.by = `${path} of someone`
    await box.send('GET', path, { headers: someone.headers })
  }
  // What the page asks for.
  for (const path of [
    '/overview',
    '/queue',
    '/runners',
    `/pipelines/${firstPipeline}/graph`,
    `/pipelines/${firstPipeline}/tests`,
  ]) {
    asking.by = path
    const { status } = await box.admin('GET', `/api/signalbox/v1${path}`)
    if (status >= 400) refused.push(`${status} ${path}`)
  }
  asking.by = '/metrics'
  await readGauges(core)

  asking.by = 'a life'
  const token = await box.runnerToken()
  const made = await box.admin('POST', `/projects/${busy}/pipeline`, { json: { ref: 'main' } })
  if (made.status !== 201) refused.push(made.text)
  for (let i = 0; i < 4; i++) {
    // A resource is given to the next job after the commit that has freed it.
    const job = await eventually(() => takeJob(box, busy, token, { info: onePhaseInfo }))
    await box.admin('GET', `/api/signalbox/v1/jobs/${job.id}/why`)
    await job.patch('0-3', 'abcd')
    await job.put({ state: 'success' })
  }
  asking.by = 'changes'
  const at = `/projects/${busy}`
  for (const [method, path] of [
    ['POST', `${at}/pipelines/${made.body.id}/retry`],
    ['POST', `${at}/pipelines/${made.body.id}/cancel`],
    ['POST', `${at}/jobs/${firstJob}/erase`],
    ['POST', `${at}/environments/${environment}/stop`],
    ['DELETE', `${at}/pipelines/${firstPipeline + 3}`],
    ['DELETE', `${at}/artifacts`],
  ] as const) {
    const { status, text } = await box.admin(method, path)
    if (status >= 400) refused.push(`${status} ${method} ${path} ${text}`)
  }
  for (const { name } of taskDefinitions) {
    asking.by = `the task ${name}`
    await tasks.run(name)
  }
  asking.by = 'a start'
  await recoverNode(core)
  return refused
}
