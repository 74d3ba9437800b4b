/**
 * Each of these operations, once for each of its statements: that one fails, as on a full disk, with the transaction left
 * open or rolled back by SQLite itself, or as BEGIN does at a locked file. Then rows, files, timers, waiters and all that
 * the node remembers are as if the operation had never run; at last nothing fails, and it does what it is for.
 */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { SignalboxError } from '../../../src/core/errors.js'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { callBack } from '../../../src/core/operations/call-back.js'
import { cancelJob } from '../../../src/core/operations/cancel-job.js'
import { cancelPipeline } from '../../../src/core/operations/cancel-pipeline.js'
import { createProject } from '../../../src/core/operations/create-project.js'
import { createRunner } from '../../../src/core/operations/create-runner.js'
import { deletePipeline } from '../../../src/core/operations/delete-pipeline.js'
import { deleteProject } from '../../../src/core/operations/delete-project.js'
import { dropJob } from '../../../src/core/operations/drop-job.js'
import { createVariable } from '../../../src/core/operations/edit-variable.js'
import { expireLeases } from '../../../src/core/operations/expire-leases.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { holdJob } from '../../../src/core/operations/hold-job.js'
import { playJob } from '../../../src/core/operations/play-job.js'
import { prioritizeJob } from '../../../src/core/operations/prioritize-job.js'
import { retryJob } from '../../../src/core/operations/retry-job.js'
import { retryPipeline } from '../../../src/core/operations/retry-pipeline.js'
import { setCommitStatus } from '../../../src/core/operations/set-commit-status.js'
import { startJob } from '../../../src/core/operations/start-job.js'
import { storeArtifact } from '../../../src/core/operations/store-artifact.js'
import type { Offer } from '../../../src/core/payload/offer.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import type { Project } from '../../../src/core/project.js'
import type { WritingConnection } from '../../../src/core/store/sqlite-connection.js'
import type { SqliteStore } from '../../../src/core/store/sqlite-store.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { isLong } from '../../support/long.js'

type Waiting = ReturnType<TestRunner['wait']>

interface Scene {
  box: TestCore
  runner: TestRunner
  project: Project
  pipeline: Pipeline
  waiting: Waiting[]
  /** Job ids by name. */
  ids: Record<string, number>
}

const config = {
  stages: ['one', 'two'],
  build: { stage: 'one', script: 'true', id_tokens: { TOKEN: { aud: 'somebody' } }, retry: 1 },
  other: { stage: 'one', script: 'true', resource_group: 'only', environment: 'test', tags: ['rare'] },
  manual: { stage: 'one', script: 'true', when: 'manual' },
  later: { stage: 'two', script: 'true', parallel: 3 },
}

const report = (state: 'success' | 'failed') => ({
  ...{ state, exitCode: null, message: null, logLength: null, logCrc32: null },
  failureReason: state === 'failed' ? ('script_failure' as const) : null,
})

async function held({ box, runner }: Scene): Promise<Offer & { managerId: number }> {
  const offer = { ...(await runner.request()).offer!, managerId: runner.manager.id }
  await acceptLease(box.core, offer)
  return offer
}

/** Each brings what comes before it, which nothing fails, and gives the act. */
const acts: Record<string, (scene: Scene) => Promise<() => Promise<unknown>>> = {
  'makes a project': async ({ box }) => {
    let count = 0
    return () => createProject(box.core, { path: `new/group/p${count++}`, user: box.admin })
  },
  'makes a runner':
    async ({ box }) =>
    () =>
      createRunner(box.core, { type: 'instance', tags: ['some'] }),
  'makes a variable':
    async ({ box, project }) =>
    () =>
      createVariable(box.core, { type: 'project', id: project.id }, { key: 'NAME', value: 'value' }),
  'makes a pipeline':
    async ({ box, project }) =>
    () =>
      box.pipeline(project, { variables: [{ key: 'GIVEN', value: 'one' }] }),
  'makes a pipeline that runners wait for': async ({ box, runner, project, waiting }) => {
    waiting.push(runner.wait(2), runner.wait(1))
    return () => box.pipeline(project, { variables: [{ key: 'GIVEN', value: 'one' }] })
  },
  'leases a job':
    async ({ runner }) =>
    () =>
      runner.request(),
  'accepts a lease': async ({ box, runner }) => {
    const offer = (await runner.request()).offer!
    return () => acceptLease(box.core, { ...offer, managerId: runner.manager.id })
  },
  'starts a job': async (scene) => {
    const lease = await held(scene)
    return () => startJob(scene.box.core, { ...lease, facts: { executor: 'shell' } })
  },
  'finishes a job': async (scene) => {
    const lease = await held(scene)
    scene.waiting.push(scene.runner.wait(5))
    return () => finishJob(scene.box.core, { ...lease, report: report('success') })
  },
  'finishes a job that is tried again': async (scene) => {
    const lease = await held(scene)
    scene.waiting.push(scene.runner.wait(5))
    return () => finishJob(scene.box.core, { ...lease, report: report('failed') })
  },
  'stores an artifact': async (scene) => {
    const { jobId, fence } = await held(scene)
    return () =>
      storeArtifact(scene.box.core, {
        ...{ jobId, fence, filename: 'a.zip' },
        about: () => ({ type: undefined, format: undefined, expireIn: undefined }),
        body: Readable.from([Buffer.from('bytes')]),
      })
  },
  'drops a job':
    async ({ box, ids }) =>
    () =>
      dropJob(box.core, ids.build!, { reason: 'script_failure', class: 'user_code' }),
  'cancels a job':
    async ({ box, ids }) =>
    () =>
      cancelJob(box.core, { jobId: ids.build! }),
  'cancels a pipeline': async (scene) => {
    await held(scene)
    return () => cancelPipeline(scene.box.core, { pipelineId: scene.pipeline.id })
  },
  'retries a job': async ({ box, ids, runner, waiting }) => {
    await cancelJob(box.core, { jobId: ids.build! })
    waiting.push(runner.wait(1))
    return () => retryJob(box.core, { jobId: ids.build!, userId: 1 })
  },
  'retries a pipeline': async ({ box, pipeline, runner, waiting }) => {
    await cancelPipeline(box.core, { pipelineId: pipeline.id })
    waiting.push(runner.wait(9))
    return () => retryPipeline(box.core, { pipelineId: pipeline.id, userId: 1 })
  },
  'plays a job': async ({ box, ids, runner, waiting }) => {
    await cancelJob(box.core, { jobId: ids.build! })
    waiting.push(runner.wait(1))
    return () => playJob(box.core, { jobId: ids.manual!, userId: 1, variables: [{ key: 'WHO', value: 'person' }] })
  },
  'holds a job':
    async ({ box, ids }) =>
    () =>
      holdJob(box.core, { jobId: ids.build!, userId: 1 }),
  'calls back': async ({ box, ids, runner, waiting }) => {
    await holdJob(box.core, { jobId: ids.build!, userId: 1 })
    waiting.push(runner.wait(1))
    return () => callBack(box.core, { jobId: ids.build!, result: 'continue', userId: 1 })
  },
  'prioritizes a job':
    async ({ box, ids }) =>
    () =>
      prioritizeJob(box.core, { jobId: ids.build!, priority: 7, userId: 1 }),
  'expires leases': async (scene) => {
    await held(scene)
    scene.box.clock.advance(24 * 3_600_000)
    return () => expireLeases(scene.box.core)
  },
  'sets the status of a commit':
    async ({ box, project, pipeline }) =>
    () =>
      setCommitStatus(box.core, {
        ...{ project, sha: pipeline.sha, ref: 'main', name: 'outside', state: 'running', userId: box.admin.id },
      }),
  'deletes a pipeline':
    async ({ box, pipeline }) =>
    () =>
      deletePipeline(box.core, { pipelineId: pipeline.id }),
  'deletes a project':
    async ({ box, project }) =>
    () =>
      deleteProject(box.core, { projectId: project.id, userId: 1 }),
}

type Way = 'open' | 'rolled back'

/** Lets one of the next statements fail. */
class Breaker {
  /** Statements that are carried out before. */
  left = Number.POSITIVE_INFINITY
  way: Way = 'open'
  tripped = false

  constructor(connection: WritingConnection) {
    const { raw } = connection
    const { exec, all, change, executeQuery } = connection
    const real = { exec, all, change, executeQuery }
    const step = (sql: string) => {
      // These write nothing but memory.
      if (/^(?:savepoint|release|rollback)/.test(sql) || this.left-- > 0) return
      this.left = Number.POSITIVE_INFINITY
      this.tripped = true
      const begins = sql.startsWith('begin')
      if (this.way === 'rolled back' && raw.inTransaction) raw.exec('rollback')
      throw Object.assign(new Error('planted'), { code: begins ? 'SQLITE_BUSY' : 'SQLITE_FULL' })
    }
    connection.exec = (sql) => {
      step(sql)
      return real.exec.call(connection, sql)
    }
    connection.all = ((query, params) => {
      step(query.compiledFor('sqlite').sql)
      return real.all.call(connection, query, params)
    }) as WritingConnection['all']
    connection.change = ((query, params, rows) => {
      step(query.compiledFor('sqlite').sql)
      return real.change.call(connection, query, params, rows)
    }) as WritingConnection['change']
    connection.executeQuery = (async (query) => {
      step(query.sql)
      return real.executeQuery.call(connection, query)
    }) as WritingConnection['executeQuery']
  }
}

/** Every row, every file and every timer. */
function stateOf(box: TestCore): object {
  const { raw } = (box.core.store as SqliteStore).connection
  const tables = raw
    .prepare("select name from sqlite_master where type = 'table' and name not like 'sqlite%'")
    .pluck()
    .all() as string[]
  return {
    rows: Object.fromEntries(tables.map((table) => [table, raw.prepare(`select * from "${table}"`).all()])),
    files: readdirSync(box.folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort(),
    timers: box.clock.timers,
    pinned: [...box.repositories.pinned],
  }
}

/** What the node remembers of rows is what the rows say, and nobody waits for what will not come. */
function expectTrueMemory({ box, waiting }: Scene): void {
  const { core } = box
  const { raw } = (core.store as SqliteStore).connection
  for (const pipeline of raw.prepare('select id, variables from pipelines').all() as Row[]) {
    const kept = core.memory.pipelineVariables.get(pipeline.id)
    if (kept) expect(kept).toEqual(JSON.parse(core.keys.open(pipeline.variables).toString('utf8')))
  }
  const newest = raw.prepare("select seq from sqlite_sequence where name = 'pipelines'").pluck().get() as number
  for (let id = newest + 1; id < newest + 5; id++) expect(core.memory.pipelineVariables.get(id)).toBeUndefined()
  for (const [id, demand] of core.demands.entries()) {
    const row = raw.prepare('select tags, features from demands where id = ?').get(id) as Row
    expect({ tags: JSON.parse(row.tags), features: JSON.parse(row.features) }).toEqual({
      tags: demand.tags,
      features: demand.features,
    })
  }
  if (core.memory.idTokenKey) {
    expect(raw.prepare("select count(*) from meta where key = 'id_token_key'").pluck().get()).toBe(1)
  }
  for (const one of waiting) expect(one.free()).toBe(one.credits - one.offers.length)
}

// biome-ignore lint/suspicious/noExplicitAny: rows of any table
type Row = any

async function scene(): Promise<Scene & AsyncDisposable> {
  const box = await startTestCore('sqlite')
  const { project, pipeline } = await box.run(config)
  const rows = (box.core.store as SqliteStore).connection.raw.prepare('select id, name from jobs').all() as Row[]
  const runner = await box.runner()
  return {
    ...{ box, project, pipeline, runner, waiting: [] },
    ids: Object.fromEntries(rows.map(({ id, name }) => [name, id])),
    [Symbol.asyncDispose]: () => box[Symbol.asyncDispose](),
  }
}

/** Waits for what was set in motion. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** The later statements of a long act are much like one another; in the short form every third one of the first has its turn. */
const every = (at: number) => (at >= 40 ? 5 : at > 8 && !isLong ? 3 : 1)

it.each(Object.entries(acts))('%s, or nothing at all', { timeout: 120_000 }, async (_, prepare) => {
  await using here = await scene()
  const { box } = here
  const { connection, stats } = box.core.store as SqliteStore
  const act = await prepare(here)
  await settled()
  const breaker = new Breaker(connection)
  // What is taken for known must be what the row says.
  for (const [table, known] of Object.entries({ jobs: connection.known.jobs, leases: connection.known.leases })) {
    known.check = (row: Row) => {
      const { status } = connection.raw.prepare(`select status from ${table} where id = ?`).get(row.id) as Row
      expect(row.status).toBe(status)
    }
  }
  for (let at = 0, failures = 0; ; at += every(at)) {
    const before = stateOf(box)
    const commits = stats.commits
    Object.assign(breaker, { left: at, way: failures % 2 === 0 ? 'open' : 'rolled back', tripped: false })
    const outcome = await act().then(
      () => undefined,
      (error: unknown) => error,
    )
    await settled()
    breaker.left = Number.POSITIVE_INFINITY
    expectTrueMemory(here)
    if (stats.commits === commits) expect(stateOf(box)).toEqual(before)
    if (!breaker.tripped) {
      expect(outcome).toBeUndefined()
      expect(failures).toBeGreaterThan(1)
      return
    }
    failures++
    if (outcome !== undefined) {
      expect(SignalboxError.from(outcome).code).toBe('unavailable')
    }
    // What is left over of an act that did its part and failed in what follows is left to tasks.
    else if (stats.commits > commits) return
  }
})
