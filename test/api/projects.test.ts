/** Settings of projects that start pipelines, or say what runs in them. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { acceptLease } from '../../src/core/operations/accept-lease.js'
import { finishJob } from '../../src/core/operations/finish-job.js'
import { runSubscribers } from '../../src/core/operations/subscribe-project.js'
import { updateProject } from '../../src/core/operations/update-project.js'
import type { Project } from '../../src/core/project.js'
import { insertUser } from '../../src/core/store/users.js'
import { ShimBox } from '../shim/support/box.js'
import { startTestCore, type TestRunner } from '../support/core.js'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'

const oneJob = { test: { script: 'x' } }

onBothEngines((engine) => {
  let box: ShimBox
  let runner: TestRunner
  let count = 0
  beforeAll(async () => {
    box = await new ShimBox(await startTestCore(engine), {}).start()
    runner = await box.core.runner({ tags: ['up'], runUntagged: false })
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const api = (method: string, path: string, json?: object) =>
    box.admin(method, `/api/signalbox/v1${path}`, json === undefined ? {} : { json })
  const project = (config: object | string = oneJob) => box.core.project(config, `acme/p${++count}`)
  const subscribe = (own: Project, upstream: Project) =>
    api('POST', `/projects/${own.id}/subscriptions`, { upstream: upstream.fullPath })

  const pipelinesOf = ({ id }: Project) =>
    box.core.core.store.read.db.selectFrom('pipelines').selectAll().where('project_id', '=', id).orderBy('id').execute()

  /** Runs a tag or branch of a project to its success. */
  async function succeed(upstream: Project, ref: string) {
    const pipeline = await box.core.pipeline(upstream, { ref })
    const { offer } = await runner.request()
    await acceptLease(box.core.core, { ...offer!, managerId: runner.manager.id })
    const report = { exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null }
    await finishJob(box.core.core, { ...offer!, report: { state: 'success', ...report } })
    expect(await box.core.pipelineStatus(pipeline)).toBe('success')
    return pipeline
  }

  it('runs a project when a tag of the one that it is subscribed to has succeeded', async () => {
    const upstream = await project({ test: { script: 'x', tags: ['up'] } })
    const own = await project()
    const made = await subscribe(own, upstream)
    expect([made.status, made.body]).toEqual([
      201,
      expect.objectContaining({ upstream: { id: upstream.id, path_with_namespace: upstream.fullPath } }),
    ])
    await succeed(upstream, 'main')
    const tag = await succeed(upstream, 'v1')
    await eventually(async () => expect(await pipelinesOf(own)).toHaveLength(1))
    const [run] = await pipelinesOf(own)
    expect(run).toMatchObject({ source: 'pipeline', ref: 'main', user_id: box.core.admin.id })
    const variables = box.core.core.keys.open(run!.variables!).toString()
    expect(variables).toContain(`"CI_UPSTREAM_PIPELINE_ID","value":"${tag.id}"`)
    await eventually(async () =>
      expect(await box.core.core.store.read.db.selectFrom('subscribed_runs').selectAll().execute()).toEqual([]),
    )
    expect(await runSubscribers(box.core.core)).toBe(0)

    const { status } = await api('DELETE', `/projects/${own.id}/subscriptions/${made.body.id}`)
    expect(status).toBe(204)
    expect((await api('GET', `/projects/${own.id}/subscriptions`)).body).toEqual([])
    await succeed(upstream, 'v2')
    expect(await pipelinesOf(own)).toHaveLength(1)
  })

  it('starts nothing for somebody who may not any more', async () => {
    const upstream = await project({ test: { script: 'x', tags: ['up'] } })
    const own = await project()
    await subscribe(own, upstream)
    const { db } = box.core.core.store.read
    const eve = await box.core.core.store.write((tx) =>
      insertUser(tx, { username: `eve${count}`, name: 'Eve', email: 'e@x', isAdmin: 0 }),
    )
    await box.core.core.store.write((tx) =>
      tx.db.updateTable('project_subscriptions').set({ user_id: eve.id }).where('project_id', '=', own.id).execute(),
    )
    await succeed(upstream, 'v1')
    await eventually(async () => expect(await db.selectFrom('subscribed_runs').selectAll().execute()).toEqual([]))
    expect(await pipelinesOf(own)).toEqual([])
  })

  it('refuses subscriptions in a circle, twice, too many, and to what is not there', async () => {
    const [a, b, c, d] = [await project(), await project(), await project(), await project()]
    expect((await subscribe(b, a)).status).toBe(201)
    expect((await subscribe(c, b)).status).toBe(201)
    const circle = 'the projects would start each other in a circle'
    const { tables } = await box.changes(async () => {
      for (const [own, upstream, code, detail] of [
        [a, a, 'invalid', circle],
        [a, c, 'invalid', circle],
        [b, a, 'conflict', 'the project is subscribed to this one already'],
      ] as const) {
        const { body } = await subscribe(own, upstream)
        expect([body.code, body.detail]).toEqual([code, detail])
      }
      const address = `/projects/${d.id}/subscriptions`
      expect((await api('POST', address, { upstream: 'acme/nowhere' })).status).toBe(404)
      expect((await api('POST', address, {})).body.detail).toMatch(/^upstream is missing/)
      expect((await api('DELETE', `${address}/999`)).status).toBe(404)
      expect((await box.send('POST', `/api/signalbox/v1${address}`)).status).toBe(401)
    })
    expect(tables).toEqual([])
    expect((await subscribe(d, a)).status).toBe(201)
    const third = await subscribe(await project(), a)
    expect(third.body.detail).toBe('a project has 2 subscriptions at most, of either side')
  })

  it('takes the configuration from another project, at a ref, or says what is wrong with the place', async () => {
    const shared = await project()
    box.core.repositories.files.get(shared.id)!.set('ci/all.yml', JSON.stringify({ shared: { script: 'x' } }))
    const own = await project()
    const at = (configPath: string) => updateProject(box.core.core, { projectId: own.id, changes: { configPath } })
    await at(`ci/all.yml@${shared.fullPath}`)
    expect(await box.core.statuses(await box.core.pipeline(own))).toEqual({ shared: 'pending' })
    await at(`ci/all.yml@${shared.fullPath}:main`)
    expect(await box.core.statuses(await box.core.pipeline(own))).toEqual({ shared: 'pending' })
    for (const [place, message] of [
      ['ci/all.yml@acme/nowhere', /project missing or access denied/],
      [`ci/none.yml@${shared.fullPath}`, /ci\/none\.yml.*file missing/],
      [`ci/all.yml@${shared.fullPath}:missing`, /ref missing/],
      ['https://example.com/all.yml', /remote includes are switched off/],
    ] as const) {
      await at(place)
      await expect(box.core.pipeline(own)).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringMatching(message),
      })
    }
  })

  it('makes a project as visible as it is asked to', async () => {
    const path = `acme/seen${engine}`
    const { status, body } = await api('POST', '/projects', { path, visibility: 'internal' })
    expect([status, (await box.admin('GET', `/projects/${body.id}`)).body.visibility]).toEqual([201, 'internal'])
    const wrong = await box.changes(() => api('POST', '/projects', { path: `${path}2`, visibility: 'secret' }))
    expect([wrong.answer.status, wrong.answer.body.code, wrong.tables]).toEqual([400, 'invalid', []])
  })

  it('runs a default configuration where there is none', async () => {
    const own = await project()
    const address = `/projects/${own.id}/default-config`
    expect((await api('GET', address)).status).toBe(404)
    const config = 'fallback: {script: x}'
    expect((await api('PUT', address, { config })).body).toEqual({ config })
    expect(await box.core.statuses(await box.core.pipeline(own))).toEqual({ test: 'pending' })
    box.core.configure(own, oneJob)
    box.core.repositories.files.get(own.id)!.delete('.gitlab-ci.yml')
    expect(await box.core.statuses(await box.core.pipeline(own))).toEqual({ fallback: 'pending' })
    await api('PUT', address, { config: 'fallback: {scrip: x}' })
    await expect(box.core.pipeline(own)).rejects.toMatchObject({ message: expect.stringMatching(/^line 1: .*scrip/) })
    for (const json of [{}, { config: ' ' }, { config: ['x'] }]) {
      const { answer, tables } = await box.changes(() => api('PUT', address, json))
      expect([answer.status, answer.body.code, tables]).toEqual([400, 'invalid', []])
    }
    expect((await api('DELETE', address)).status).toBe(204)
    await expect(box.core.pipeline(own)).rejects.toMatchObject({ message: 'Missing CI config file' })
  })
})
