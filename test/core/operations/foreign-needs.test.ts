import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { createPipeline } from '../../../src/core/operations/create-pipeline.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { mayFetchForeign } from '../../../src/core/operations/may-fetch-foreign.js'
import { retryPipeline } from '../../../src/core/operations/retry-pipeline.js'
import { storeArtifact } from '../../../src/core/operations/store-artifact.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { getJob } from '../../../src/core/store/jobs.js'
import { insertUser } from '../../../src/core/store/users.js'
import { zipOf } from '../../shim/support/zip.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

interface Payload {
  job_info: { name: string }
  dependencies: { id: number; name: string }[]
  variables: { key: string; value: string }[]
}

/** Runs the next job to its end, with what it keeps. Gives its payload. */
async function runNext(
  box: TestCore,
  by: TestRunner,
  keeps: { archive?: Record<string, string>; dotenv?: string } = {},
  state: 'success' | 'failed' = 'success',
): Promise<Payload> {
  const { offer } = await by.request()
  const of = { jobId: offer!.jobId, fence: offer!.fence }
  await acceptLease(box.core, { ...of, managerId: by.manager.id })
  const keep = (type: string, format: string, filename: string, bytes: Buffer) =>
    storeArtifact(box.core, {
      ...of,
      filename,
      body: Readable.from([bytes]),
      about: () => ({ type, format, expireIn: undefined }),
    })
  if (keeps.archive) await keep('archive', 'zip', 'artifacts.zip', await zipOf(keeps.archive))
  if (keeps.dotenv) await keep('dotenv', 'gzip', '.env.gz', Buffer.from(keeps.dotenv))
  const report = { state, exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null }
  await finishJob(box.core, { ...of, report })
  return JSON.parse(Buffer.from(offer!.payload).toString('utf8'))
}

const jobOf = (box: TestCore, pipeline: { id: number }, name: string) =>
  box.core.store.read.db
    .selectFrom('jobs')
    .selectAll()
    .where('pipeline_id', '=', pipeline.id)
    .where('name', '=', name)
    .where('retried', '=', 0)
    .executeTakeFirstOrThrow()

const becomes = (box: TestCore, pipeline: { id: number }, statuses: Record<string, string>) =>
  eventually(async () => expect(await box.statuses(pipeline as Pipeline)).toEqual(statuses))

const childOf = (box: TestCore, parent: Pipeline) =>
  eventually(() =>
    box.core.store.read.db
      .selectFrom('pipelines')
      .innerJoin('jobs', 'jobs.id', 'pipelines.source_job_id')
      .selectAll('pipelines')
      .where('jobs.pipeline_id', '=', parent.id)
      .executeTakeFirstOrThrow(),
  )

/** A user who is nobody's owner. */
const stranger = (box: TestCore) =>
  box.core.store.write((tx) => insertUser(tx, { username: 'ada', name: 'Ada', email: 'a@x', isAdmin: 0 }))

const fetches = (need: object) => ({ use: { script: 'x', needs: [need] } })

onBothEngines((engine) => {
  it('gives a child pipeline what a job of its parent has kept', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const project = await box.project({
      stages: ['build', 'deploy'],
      make: { stage: 'build', script: 'x', artifacts: { paths: ['a'] } },
      child: {
        stage: 'deploy',
        variables: { PARENT: '$CI_PIPELINE_ID' },
        trigger: { include: 'child.yml', strategy: 'depend' },
      },
    })
    const child = fetches({ pipeline: '$PARENT', job: 'make' })
    box.repositories.files.get(project.id)!.set('child.yml', JSON.stringify(child))
    const pipeline = await box.pipeline(project)
    await runNext(box, runner, { archive: { a: 'text' } })
    const made = await jobOf(box, pipeline, 'make')
    await becomes(box, await childOf(box, pipeline), { use: 'pending' })
    expect((await runNext(box, runner)).dependencies).toMatchObject([{ id: made.id, name: 'make' }])
    await becomes(box, pipeline, { make: 'success', child: 'success' })
  })

  it('gives what the newest successful job of a ref of another project has kept, and its variables', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const other = await box.project({ make: { script: 'x', artifacts: { paths: ['a'] } } }, 'acme/other')
    const kept = await box.pipeline(other)
    await runNext(box, runner, { archive: { a: 'one' } })
    await box.pipeline(other)
    await runNext(box, runner, {}, 'failed')
    const need = { project: 'acme/$NAME', ref: '$REF', job: 'make', artifacts: true }
    const app = await box.project({ variables: { NAME: 'other', REF: 'main' }, ...fetches(need) }, 'acme/app')
    const pipeline = await box.pipeline(app)
    const made = await getJob(box.core.store.read, (await jobOf(box, kept, 'make')).id)
    const using = await getJob(box.core.store.read, (await jobOf(box, pipeline, 'use')).id)
    expect(await mayFetchForeign(box.core, using, made)).toBe(true)
    expect(await mayFetchForeign(box.core, made, using)).toBe(false)
    expect((await runNext(box, runner)).dependencies).toMatchObject([{ id: made.id }])
  })

  it('fails a job that needs what is not there, unless it is optional, and skips those after it', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    await box.run({ make: { script: 'x' } }, 'acme/other')
    await runNext(box, runner, { archive: { a: 'one' } })
    const cases: [object, RegExp][] = [
      [{ project: 'acme/nowhere', ref: 'main', job: 'make', artifacts: true }, /no project acme\/nowhere/],
      [{ project: 'acme/other', ref: 'main', job: 'other', artifacts: true }, /No successful job other of acme\/other/],
      [{ pipeline: '1', job: 'make' }, /1 is no pipeline of the family/],
      [{ pipeline: '$UNKNOWN', job: 'make' }, /\$UNKNOWN is no pipeline/],
      [{ pipeline: '$CI_PIPELINE_ID', job: 'make' }, /cannot be the pipeline of the job itself/],
    ]
    const app = await box.project('', 'acme/app')
    for (const [need, message] of cases) {
      box.configure(app, { ...fetches(need), after: { stage: 'deploy', script: 'x' } })
      const pipeline = await box.pipeline(app)
      expect(await box.statuses(pipeline)).toEqual({ use: 'failed', after: 'skipped' })
      expect(await jobOf(box, pipeline, 'use')).toMatchObject({
        failure_reason: 'missing_dependency_failure',
        failure_message: expect.stringMatching(message),
      })
      box.configure(app, fetches({ ...need, optional: true }))
      expect(await box.statuses(await box.pipeline(app))).toEqual({ use: 'pending' })
    }
  })

  it('takes nothing of a project that the user may not read', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    await box.run({ make: { script: 'x' } }, 'acme/other')
    await runNext(box, runner, { archive: { a: 'one' } })
    const app = await box.project(fetches({ project: 'acme/other', ref: 'main', job: 'make', artifacts: true }))
    const pipeline = await box.pipeline(app, { user: await stranger(box), ref: 'topic' })
    expect(await box.statuses(pipeline)).toEqual({ use: 'failed' })
  })

  it('makes a child pipeline of a file that a job has made', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const trigger = { include: [{ artifact: 'out/child.yml', job: 'make' }], strategy: 'depend' }
    const config = { make: { stage: 'build', script: 'x' }, child: { trigger } }
    const { pipeline } = await box.run(config)
    expect(await box.statuses(pipeline)).toEqual({ make: 'pending', child: 'created' })
    await runNext(box, runner, { archive: { 'out/child.yml': 'made: {script: x}' } })
    await becomes(box, await childOf(box, pipeline), { made: 'pending' })
    await runNext(box, runner)
    await becomes(box, pipeline, { make: 'success', child: 'success' })
  })

  it('fails the trigger job when the file is not there, or is wrong', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const trigger = { include: [{ artifact: 'out/child.yml', job: 'make' }] }
    const app = await box.project({ make: { stage: 'build', script: 'x' }, child: { trigger } })
    for (const [archive, message] of [
      [{ other: 'x' }, /no such file/],
      [{ 'out/child.yml': 'made: {scrip: x}' }, /made/],
    ] as const) {
      const pipeline = await box.pipeline(app)
      await runNext(box, runner, { archive })
      await becomes(box, pipeline, { make: 'success', child: 'failed' })
      expect(await jobOf(box, pipeline, 'child')).toMatchObject({
        failure_reason: 'downstream_pipeline_creation_failed',
        failure_message: expect.stringMatching(message),
      })
    }
  })

  it('mirrors the pipeline of another project, and again when that one runs again', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { pipeline: upstream } = await box.run({ build: { script: 'x' } }, 'acme/other')
    const mirror = { needs: { pipeline: 'acme/other' } }
    const { pipeline } = await box.run({ mirror, after: { stage: 'deploy', script: 'x' } }, 'acme/app')
    await becomes(box, pipeline, { mirror: 'running', after: 'created' })
    await runNext(box, runner, {}, 'failed')
    await becomes(box, pipeline, { mirror: 'failed', after: 'skipped' })
    await retryPipeline(box.core, { pipelineId: upstream.id, userId: 1 })
    await becomes(box, pipeline, { mirror: 'running', after: 'created' })
    await runNext(box, runner)
    await becomes(box, pipeline, { mirror: 'success', after: 'pending' })
    expect(box.box.reports).toEqual([])
  })

  it('refuses to mirror what is not there, may not be read, or waits for itself', async () => {
    await using box = await startTestCore(engine)
    const app = await box.project({ mirror: { needs: { pipeline: 'acme/other' } } }, 'acme/app')
    const failed = async (pipeline: Pipeline) => {
      await becomes(box, pipeline, { mirror: 'failed' })
      return (await jobOf(box, pipeline, 'mirror')).failure_reason
    }
    const start = (ref: string, user = box.admin) => box.pipeline(app, { ref, user })
    expect(await failed(await start('one'))).toBe('upstream_bridge_project_not_found')
    const other = await box.project({ mirror: { needs: { pipeline: 'acme/app' } } }, 'acme/other')
    expect(await failed(await start('two'))).toBe('upstream_bridge_project_not_found')
    expect(await failed(await start('three', await stranger(box)))).toBe('insufficient_upstream_permissions')
    const first = await box.pipeline(other)
    expect(await failed(first)).toBe('upstream_bridge_project_not_found')
    const itself = await box.project({ mirror: { needs: { pipeline: 'acme/self' } } }, 'acme/self')
    expect(await failed(await box.pipeline(itself))).toBe('pipeline_loop_detected')
    await expect(
      createPipeline(box.core, { projectId: 999, ref: 'main', source: 'api', user: null, onInvalid: 'refuse' }),
    ).rejects.toMatchObject({ code: 'not_found' })
  })
})
