import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Pipeline } from '../../src/core/pipeline.js'
import { insertArtifact } from '../../src/core/store/artifacts.js'
import { ShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { startTestCore } from '../support/core.js'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await new ShimBox(await startTestCore(engine), {}).start()
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const jobId = async (pipeline: Pipeline, name: string): Promise<number> => {
    const row = await box.core.core.store.read.db
      .selectFrom('jobs')
      .select('id')
      .where('pipeline_id', '=', pipeline.id)
      .where('name', '=', name)
      .executeTakeFirstOrThrow()
    return row.id
  }
  const why = async (pipeline: Pipeline, name: string) => {
    const answer = await box.admin('GET', `/api/signalbox/v1/jobs/${await jobId(pipeline, name)}/why`)
    expect(answer.status).toBe(200)
    return answer.body
  }

  it('lets those who may operate the project hold a job, and call back', async () => {
    const { pipeline } = await box.run({ ship: { script: 'x', tags: ['held'] } }, 'why/held')
    const path = `/api/signalbox/v1/jobs/${await jobId(pipeline, 'ship')}`
    const { headers } = await person(box, 'passer-by')
    expect((await box.send('POST', `${path}/hold`, { headers })).status).toBe(404)
    expect(await box.admin('POST', `${path}/callback`)).toMatchObject({ status: 409 })
    expect(await box.admin('POST', `${path}/hold`)).toMatchObject({
      status: 200,
      body: { status: 'waiting_for_callback' },
    })
    expect(await why(pipeline, 'ship')).toMatchObject({ waits_for: 'callback' })
    expect(await box.admin('POST', `${path}/callback`, { json: { result: 'maybe' } })).toMatchObject({ status: 400 })
    expect(await box.admin('POST', `${path}/callback`)).toMatchObject({ status: 200, body: { status: 'pending' } })
  })

  it('says what every runner lacks, the nearest first, and which place the job has', async () => {
    const { project, pipeline } = await box.run(
      { a: { script: 'x', tags: ['gpu', 'big'] }, b: { script: 'x', tags: ['big', 'gpu'] } },
      'why/a',
    )
    await box.core.runner({ type: 'project', projectId: project.id, tags: ['gpu'], description: 'nearly' })
    await box.core.runner({
      tags: ['other'],
      runUntagged: false,
      protectedOnly: true,
      description: 'far',
      paused: true,
    })
    const found = await why(pipeline, 'b')
    expect(found).toMatchObject({
      status: 'pending',
      waits_for: 'runner',
      place: 2,
      expected_start: null,
      needs: { tags: ['big', 'gpu'], protected: true, features: [] },
      summary: expect.stringMatching(
        /^No runner that is online can take it\. The nearest, \d+ \(nearly\), lacks tags big\.$/,
      ),
    })
    expect(found.runners[0]).toMatchObject({ description: 'nearly', fits: false, lacks: ['lacks tags big'] })
    expect(found.runners[1]).toMatchObject({ description: 'far', lacks: ['is paused', 'lacks tags big, gpu'] })
  })

  it('counts an idle runner that fits, and one that is not heard from any more', async () => {
    const { project, pipeline } = await box.run({ a: { script: 'x', tags: ['w2'] } }, 'why/b')
    await box.core.runner({ type: 'project', projectId: project.id, tags: ['w2'], description: 'fine' })
    expect((await why(pipeline, 'a')).summary).toMatch(/^1 runner that could take it is online/)
    box.core.clock.advance(2 * 3_600_000)
    const later = await why(pipeline, 'a')
    expect(later.runners[0]).toMatchObject({
      description: 'fine',
      fits: false,
      lacks: ['has not been heard from lately'],
    })
  })

  it('names the jobs before, the person, the time, the resource and the paused task', async () => {
    const resource = { script: 'x', resource_group: 'r', tags: ['none'] }
    const { pipeline } = await box.run(
      {
        stages: ['one', 'two'],
        first: { stage: 'one', ...resource },
        second: { stage: 'one', ...resource },
        ask: { stage: 'one', script: 'x', when: 'manual', manual_confirmation: 'Really?' },
        late: { stage: 'one', script: 'x', when: 'delayed', start_in: '1 hour' },
        after: { stage: 'two', script: 'x' },
        dag: { stage: 'two', script: 'x', needs: ['second'] },
      },
      'why/c',
    )
    await eventually(async () => expect(await box.core.statuses(pipeline)).toMatchObject({ first: 'pending' }))
    expect(await why(pipeline, 'second')).toMatchObject({
      waits_for: 'resource',
      summary: expect.stringContaining('belongs to job'),
      blocked_by: [{ name: 'first', status: 'pending' }],
    })
    expect(await why(pipeline, 'ask')).toMatchObject({ waits_for: 'person', manual_confirmation: 'Really?' })
    expect(await why(pipeline, 'late')).toMatchObject({
      waits_for: 'time',
      expected_start: new Date(box.core.clock.now() + 3_600_000).toISOString(),
    })
    const after = await why(pipeline, 'after')
    expect(after.waits_for).toBe('earlier_jobs')
    expect(after.blocked_by.map((one: { name: string }) => one.name)).toEqual(['first', 'second', 'late'])
    expect((await why(pipeline, 'dag')).blocked_by.map((one: { name: string }) => one.name)).toEqual(['second'])

    await box.core.tasks.setPaused('initial_pipeline_process', true)
    const { pipeline: held } = await box.run({ a: { script: 'x' } }, 'why/d')
    expect(await why(held, 'a')).toMatchObject({ waits_for: 'first_processing' })
    await box.core.tasks.setPaused('initial_pipeline_process', false)
  })

  it('tells it to those who may operate the project, and says who has done what', async () => {
    const { project, pipeline } = await box.run({ a: { script: 'x', tags: ['none'] } }, 'why/e')
    const id = await jobId(pipeline, 'a')
    const somebody = await person(box, 'why-somebody')
    const ask = () => box.send('GET', `/api/signalbox/v1/jobs/${id}/why`, { headers: somebody.headers })
    expect((await ask()).status).toBe(404)
    await box.admin('PUT', `/projects/${project.id}`, { json: { visibility: 'public' } })
    expect((await ask()).status).toBe(403)
    await box.admin('POST', `/projects/${project.id}/jobs/${id}/cancel`)
    const { body } = await box.admin('GET', `/api/signalbox/v1/jobs/${id}/events`)
    expect(body.at(-1)).toMatchObject({ data: { event: 'cancel', from: 'pending', to: 'canceled', by: 1 } })
    expect(await why(pipeline, 'a')).toMatchObject({ waits_for: 'nothing', summary: 'It has ended: canceled.' })
    const log = { jobId: id, projectId: project.id, type: 'trace', format: 'raw', filename: 'job.log', expiresAt: null }
    const blob = await box.core.core.artifacts.store(Readable.from(['hello']), 5)
    await box.core.core.store.write((tx) => insertArtifact(tx, { ...blob, ...log }))
    const archived = await box.admin('GET', `/api/signalbox/v1/jobs/${id}/events`)
    expect(archived.body.at(-1)).toMatchObject({ kind: 'log.archived', job_id: id, data: { bytes: 5 } })
  })
})
