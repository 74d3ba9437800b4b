// A store with a deep queue, and claims against it: the product's own core on a file, without doors.
import path from 'node:path'
import { diskRooms } from '../../dist/core/blobs/disk-blobs.js'
import { inThisThread } from '../../dist/core/ci-config/language.js'
import { SystemClock } from '../../dist/core/clock.js'
import { makeCore } from '../../dist/core/make-core.js'
import { contactRunner, runnerFacts } from '../../dist/core/operations/contact-runner.js'
import { createPipeline } from '../../dist/core/operations/create-pipeline.js'
import { createProject } from '../../dist/core/operations/create-project.js'
import { createRunner } from '../../dist/core/operations/create-runner.js'
import { leaseJob } from '../../dist/core/operations/lease-job.js'
import { setAdminToken } from '../../dist/core/operations/prepare-node.js'
import { openStore } from '../../dist/core/store/open.js'
import { keysFrom } from '../../dist/core/tokens/keys.js'
import { nowUs, percentile, serve } from '../lib.mjs'

let core
let firstProject
const claimants = {}

const repositories = {
  async create() {},
  async resolve(_, ref) {
    return { name: ref, tag: false, sha: '1'.repeat(40) }
  },
  async readFile() {
    return JSON.stringify({ job: { script: 'true' } })
  },
  async listFiles() {
    return []
  },
  async changedPaths() {
    return []
  },
  async commit(_, sha) {
    return { sha, author: 'a', authorName: 'a', authorEmail: 'a', timestamp: '2026-01-01T00:00:00Z', message: 'x' }
  },
  pin() {},
  unpin() {},
}

async function fill({ dir, depth, projects, tagSets }) {
  const clock = new SystemClock()
  const fatal = (error) => {
    throw error
  }
  const store = await openStore({ url: `sqlite:${path.join(dir, 'queue.db')}`, clock, report: console.error, fatal })
  const log = { debug() {}, info() {}, warn() {}, error: console.error }
  core = makeCore({
    node: 'bench',
    store,
    clock,
    keys: keysFrom(Buffer.alloc(32, 1)),
    traces: path.join(dir, 'traces'),
    blobs: diskRooms(dir),
    repositories,
    language: inThisThread,
    log,
    externalUrl: () => 'http://bench',
    fatal,
  }).core
  const user = await setAdminToken(core, 'glpat-bench-bench-bench-bench')
  const ids = []
  for (let i = 0; i < projects; i++) ids.push((await createProject(core, { path: `g/p${i}`, user })).id)
  firstProject = ids[0]
  // One real job; the others are copies of its rows in other lanes, which is what a queue consists of.
  const pipeline = await createPipeline(core, {
    projectId: ids[0],
    ref: 'main',
    source: 'api',
    user,
    onInvalid: 'refuse',
  })
  const { raw } = store.connection
  const job = raw.prepare('select * from jobs where pipeline_id = ?').get(pipeline.id)
  const payload = raw.prepare('select body from payloads where job_id = ?').get(job.id).body
  raw.exec('begin')
  const demands = Array.from({ length: tagSets }, (_, i) => {
    const tags = JSON.stringify([`t${i}`])
    const key = `p[]${tags}`
    return raw.prepare('insert into demands (key, tags, protected, features) values (?, ?, 1, ?)').run(key, tags, '[]')
      .lastInsertRowid
  })
  const lanes = []
  for (const project of ids) {
    for (const demand of demands) {
      const lane = raw
        .prepare('insert into lanes (project_id, demand_id, instance_share, touched_at) values (?, ?, 0, ?)')
        .run(project, demand, Date.now()).lastInsertRowid
      lanes.push({ lane, project })
    }
  }
  const columns = Object.keys(job).filter((name) => name !== 'id')
  const insert = raw.prepare(
    `insert into jobs (${columns.join(', ')}) values (${columns.map((name) => `@${name}`).join(', ')})`,
  )
  const save = raw.prepare('insert into payloads (job_id, body) values (?, ?)')
  for (let i = 0; i < depth; i++) {
    // Spread over all lanes, whatever the depth.
    const { lane, project } = lanes[(i * 7919) % lanes.length]
    const { lastInsertRowid } = insert.run({ ...job, name: `job-${i}`, project_id: project, lane_id: lane })
    if (i < 20_000) save.run(lastInsertRowid, payload)
  }
  raw.exec(`update lanes set (head_job_id, head_priority) = (
    select id, priority from jobs where lane_id = lanes.id and in_queue = 1 order by priority desc, id limit 1)`)
  raw.exec('commit')
  raw.exec('analyze')
  await core.demands.refresh(store.read)
  claimants.instance = await claimant({ type: 'instance', tags: Array.from({ length: 8 }, (_, i) => `t${i}`) })
  claimants.project = await claimant({ type: 'project', projectId: firstProject, tags: ['t0', 't1', 't2', 't3'] })
}

async function claimant(input) {
  const { runner } = await createRunner(core, input)
  const info = {
    systemId: 's',
    name: 'b',
    version: '1',
    revision: '',
    platform: 'l',
    architecture: 'a',
    executor: 's',
    features: [],
    ipAddress: null,
  }
  const manager = await contactRunner(core, runner, info)
  return {
    runner,
    managerId: manager.id,
    facts: await runnerFacts(core, runner, info),
    door: 'websocket',
    requestId: null,
    deliver: () => true,
  }
}

serve({
  fill,
  /** Median time of a claim inside its transaction, without the commit. Each is rolled back, so that the depth stays. */
  async claim({ type, count }) {
    const samples = []
    const { write } = core.store
    for (let i = 0; i < count; i++) {
      core.store.write = (body) =>
        write.call(core.store, async (tx) => {
          const started = nowUs()
          const outcome = await body(tx)
          samples.push(nowUs() - started)
          if (!outcome.offer) throw new Error('nothing was claimed')
          throw new Error('rolled back')
        })
      await leaseJob(core, claimants[type]).catch((error) => {
        if (error.message !== 'rolled back') throw error
      })
    }
    core.store.write = write
    return percentile(samples, 0.5)
  },
})
