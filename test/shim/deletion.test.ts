import { existsSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { deleteProjectIn } from '../../src/core/operations/delete-project.js'
import { removeDeleted } from '../../src/core/operations/remove-deleted.js'
import { ofJobs, ofProjects } from '../../src/core/store/deletions.js'
import { hasTracePieces } from '../../src/core/store/trace-pieces.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox, until } from './support/box.js'
import { person } from './support/people.js'
import { type RunningJob, startJob } from './support/running-job.js'

const config = { build: { script: 'make', artifacts: { paths: ['out'] } } }

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const read = () => box.core.core.store.read.db
  const removals = () => read().selectFrom('removals').selectAll().execute()
  const pipelineOf = async (job: RunningJob) => (await box.job(job.id)).pipeline_id
  /** Tables that still have a row about these jobs. */
  async function tablesAbout(jobIds: number[]): Promise<string[]> {
    const tables = ['leases', 'traces', 'artifacts', 'payloads', 'job_needs', 'dotenv_variables'] as const
    const found: string[] = (await read().selectFrom('jobs').select('id').where('id', 'in', jobIds).execute()).length
      ? ['jobs']
      : []
    for (const table of tables) {
      const rows = await read().selectFrom(table).select('job_id').where('job_id', 'in', jobIds).execute()
      if (rows.length > 0) found.push(table)
    }
    return found
  }
  /** With PostgreSQL the bytes of a log are rows. */
  const logIsThere = async (jobId: number) =>
    engine === 'postgres'
      ? hasTracePieces(box.core.core.store.read, jobId)
      : existsSync(box.core.core.traces.fileOf(jobId))
  /** A job at work, with a log and an artifact, and where they lie. */
  async function workedOn(path?: string) {
    const job = await startJob(box, { config, ...(path === undefined ? {} : { path }) })
    await job.patch('0-3', 'log\n')
    await job.upload('zip')
    const { location } = await read()
      .selectFrom('artifacts')
      .select('location')
      .where('job_id', '=', job.id)
      .executeTakeFirstOrThrow()
    return { job, location, log: () => logIsThere(job.id) }
  }

  it('deletes a pipeline with all that its jobs have, and refuses the runner that is at work on it', async () => {
    const { job, location, log } = await workedOn()
    const id = await pipelineOf(job)
    expect([await log(), await box.core.core.artifacts.exists(location)]).toEqual([true, true])
    const url = `/projects/${job.projectId}/pipelines/${id}`
    const other = await person(box, `other-${engine}`)
    expect((await box.send('DELETE', url, other)).status).toBe(404)
    const answer = await box.admin('DELETE', url)
    expect([answer.status, answer.text]).toEqual([204, ''])
    await until(async () => (await removals()).length === 0)
    expect([await log(), await box.core.core.artifacts.exists(location)]).toEqual([false, false])
    expect(await tablesAbout([job.id])).toEqual([])
    expect((await box.admin('GET', url)).status).toBe(404)
    expect((await box.admin('DELETE', url)).body).toEqual({ message: '404 Pipeline Not Found' })
    for (const answer of [
      await job.patch('4-7', 'more'),
      await job.put({ state: 'success' }),
      await job.upload('late'),
      await job.download(),
    ]) {
      expect(answer.status).toBe(403)
    }
    expect(await log()).toBe(false)
    const event = await read()
      .selectFrom('events')
      .selectAll()
      .where('kind', '=', 'pipeline.deleted')
      .where('pipeline_id', '=', id)
      .executeTakeFirstOrThrow()
    expect(JSON.parse(event.data)).toEqual({ iid: 1, ref: 'main', by: 1 })
  })

  it('takes a waiting job out of the queue, and gives the next one', async () => {
    const { project, pipeline } = await box.run(config, `acme/queue-${engine}`)
    const token = await box.runnerToken({ type: 'project', projectId: project.id })
    const next = await box.core.pipeline(project)
    expect((await box.admin('DELETE', `/projects/${project.id}/pipelines/${pipeline.id}`)).status).toBe(204)
    const { body } = await box.poll(token)
    expect(body.job_info.pipeline_id).toBe(next.id)
  })

  it('lets go of a trigger job that follows the pipeline', async () => {
    const child = { job: { script: 'x' } }
    const parent = { go: { trigger: { include: 'child.yml', strategy: 'depend' } } }
    const project = await box.core.project(parent, `acme/parent-${engine}`)
    box.core.repositories.files.get(project.id)!.set('child.yml', JSON.stringify(child))
    const pipeline = await box.core.pipeline(project)
    const bridges = `/projects/${project.id}/pipelines/${pipeline.id}/bridges`
    await until(async () => (await box.admin('GET', bridges)).body[0]?.downstream_pipeline)
    const downstream = (await box.admin('GET', bridges)).body[0].downstream_pipeline.id
    expect((await box.admin('DELETE', `/projects/${project.id}/pipelines/${downstream}`)).status).toBe(204)
    const [bridge] = (await box.admin('GET', bridges)).body
    expect(bridge).toMatchObject({ status: 'canceled', downstream_pipeline: null })
    expect(await box.core.pipelineStatus(pipeline)).toBe('canceled')
  })

  it('lets go of a job that mirrors the pipeline', async () => {
    const { project, pipeline } = await box.run(config, `acme/mirrored-${engine}`)
    const mirror = await box.core.project(
      { look: { needs: { pipeline: `acme/mirrored-${engine}` } } },
      `acme/mirror-${engine}`,
    )
    const following = await box.core.pipeline(mirror)
    const rows = () => read().selectFrom('pipeline_mirrors').select('job_id').execute()
    await until(async () => (await rows()).length === 1)
    expect((await box.admin('DELETE', `/projects/${project.id}/pipelines/${pipeline.id}`)).status).toBe(204)
    expect(await rows()).toEqual([])
    expect(await box.core.pipelineStatus(following)).toBe('canceled')
  })

  it('deletes a project: it is gone at once, its path free, and nothing of it stays', async () => {
    const path = `gone/app-${engine}`
    const { job, location, log } = await workedOn(path)
    const url = `/projects/${encodeURIComponent(path)}`
    await box.admin('POST', `${url}/variables`, { json: { key: 'A', value: 'b' } })
    await box.admin('POST', `${url}/triggers`, { json: { description: 'd' } })
    await box.admin('POST', `${url}/environments`, { json: { name: 'prod' } })
    await box.admin('POST', `${url}/pipeline_schedules`, {
      json: { description: 'd', ref: 'main', cron: '0 1 * * *' },
    })
    const other = await person(box, `stranger-${engine}`)
    expect((await box.send('DELETE', url, other)).body).toEqual({ message: '404 Project Not Found' })
    const answer = await box.admin('DELETE', url)
    expect([answer.status, answer.body]).toEqual([202, { message: '202 Accepted' }])
    expect((await box.admin('GET', url)).status).toBe(404)
    expect((await box.admin('GET', `/projects?search=${path}`)).body).toEqual([])
    const again = await box.admin('POST', '/projects', { json: { path } })
    expect([again.status, again.body.path_with_namespace]).toEqual([201, path])
    await until(async () => (await removals()).length === 0)
    expect([await log(), await box.core.core.artifacts.exists(location)]).toEqual([false, false])
    expect(await tablesAbout([job.id])).toEqual([])
    expect(box.core.repositories.files.has(job.projectId)).toBe(false)
    for (const table of ['pipelines', 'triggers', 'environments', 'pipeline_schedules', 'lanes'] as const) {
      const rows = await read().selectFrom(table).select('id').where('project_id', '=', job.projectId).execute()
      expect([table, rows]).toEqual([table, []])
    }
    expect((await job.put({ state: 'success' })).status).toBe(403)
  })

  it('knows every table that belongs to jobs or projects', async () => {
    const tables = await read().introspection.getTables()
    const having = (column: string, except: string[]) =>
      tables
        .filter((table) => table.columns.some((one) => one.name === column) && !except.includes(table.name))
        .map((table) => table.name)
        .toSorted()
    // What a commit shows of a job goes with the pipeline.
    expect(having('job_id', ['events', 'forge_statuses'])).toEqual([...ofJobs].toSorted())
    // Those of jobs go with their pipelines; who a project's tokens acted as is blocked; what was used counts
    // on, and what was done to it stays in the audit log.
    const apart = ['pipelines', 'jobs', 'leases', 'artifacts', 'events', 'users', 'usage', 'audit_entries']
    expect(having('project_id', apart)).toEqual([...ofProjects].toSorted())
    expect(
      having('pipeline_id', [
        ...['merge_train_cars', 'jobs', 'stages', 'events', 'pipeline_mirrors', 'hook_deliveries'],
        // Goes with the row of its pipeline.
        ...['schedule_pipelines', 'forge_statuses'],
        // Tells only which it was.
        'fork_requests',
      ]),
    ).toEqual([])
  })

  it('ends what a crash has left of a deletion', async () => {
    const { job, location, log } = await workedOn(`crash/app-${engine}`)
    const { core } = box.core
    // The commit of a deletion, and nothing after it.
    await core.store.write(async (tx) => {
      await deleteProjectIn(core, tx, { projectId: job.projectId, userId: null })
    })
    expect(await log()).toBe(true)
    expect((await box.admin('GET', `/projects/${job.projectId}`)).status).toBe(404)
    await removeDeleted(core)
    await until(async () => (await removals()).length === 0)
    expect([await log(), await core.artifacts.exists(location)]).toEqual([false, false])
    expect(await tablesAbout([job.id])).toEqual([])
    expect(await removeDeleted(core)).toBe(0)
  })
})
