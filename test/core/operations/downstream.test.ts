import { expect, it } from 'vitest'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { cancelPipeline } from '../../../src/core/operations/cancel-pipeline.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { retryPipeline } from '../../../src/core/operations/retry-pipeline.js'
import { showPipelineVariables } from '../../../src/core/operations/show-pipeline-variables.js'
import { triggerDownstream } from '../../../src/core/operations/trigger-downstream.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { insertMember } from '../../../src/core/store/members.js'
import { insertUser, setUserState } from '../../../src/core/store/users.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

const bridge = (box: TestCore, pipeline: Pipeline, name = 'trigger') =>
  box.core.store.read.db
    .selectFrom('jobs')
    .selectAll()
    .where('pipeline_id', '=', pipeline.id)
    .where('name', '=', name)
    .where('retried', '=', 0)
    .executeTakeFirstOrThrow()

/** The pipeline that the trigger job has made, once it is there. */
const downstream = (box: TestCore, pipeline: Pipeline, name = 'trigger') =>
  eventually(async () => {
    const { id } = await bridge(box, pipeline, name)
    return box.core.store.read.db
      .selectFrom('pipelines')
      .selectAll()
      .where('source_job_id', '=', id)
      .executeTakeFirstOrThrow()
  })

const becomes = (box: TestCore, pipeline: { id: number }, statuses: Record<string, string>) =>
  eventually(async () => expect(await box.statuses(pipeline as Pipeline)).toEqual(statuses))

async function end(box: TestCore, by: TestRunner, state: 'success' | 'failed') {
  const { offer } = await by.request()
  await acceptLease(box.core, { ...offer!, managerId: by.manager.id })
  await finishJob(box.core, {
    ...offer!,
    report: { state, exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null },
  })
}

const child = 'child: {script: x}'

/** A project whose file triggers a child pipeline of `child.yml`. */
async function parent(box: TestCore, trigger: object, more: object = {}, childFile: string = child) {
  const project = await box.project({ trigger: { trigger, ...more }, after: { stage: 'deploy', script: 'x' } })
  box.repositories.files.get(project.id)!.set('child.yml', childFile)
  return { project, pipeline: await box.pipeline(project) }
}

onBothEngines((engine) => {
  it('starts a child pipeline and goes on at once', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await parent(box, { include: 'child.yml' })
    const made = await downstream(box, pipeline)
    expect(made).toMatchObject({ source: 'parent_pipeline', ref: 'main', sha: pipeline.sha })
    await becomes(box, made, { child: 'pending' })
    await becomes(box, pipeline, { trigger: 'success', after: 'pending' })
    expect(box.box.reports).toEqual([])
  })

  it.each([
    ['depend', 'success', 'success'],
    ['depend', 'failed', 'failed'],
    ['mirror', 'success', 'success'],
    ['mirror', 'failed', 'failed'],
  ] as const)('with strategy %s takes over the end %s as %s', async (strategy, state, expected) => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { pipeline } = await parent(box, { include: 'child.yml', strategy })
    await downstream(box, pipeline)
    await becomes(box, pipeline, { trigger: 'running', after: 'created' })
    await end(box, runner, state)
    await becomes(box, pipeline, { trigger: expected, after: expected === 'success' ? 'pending' : 'skipped' })
    expect((await bridge(box, pipeline)).failure_reason).toBe(expected === 'failed' ? 'unknown_failure' : null)
  })

  it('mirrors a pipeline that waits for a person, which depend only waits for', async () => {
    await using box = await startTestCore(engine)
    const manual = 'child: {script: x, when: manual, allow_failure: false}'
    const mirrored = await parent(box, { include: 'child.yml', strategy: 'mirror' }, {}, manual)
    await becomes(box, mirrored.pipeline, { trigger: 'manual', after: 'created' })
  })

  it('runs again when its pipeline does, and those after it with it', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { pipeline } = await parent(box, { include: 'child.yml', strategy: 'depend' })
    const made = await downstream(box, pipeline)
    await becomes(box, made, { child: 'pending' })
    await end(box, runner, 'failed')
    await becomes(box, pipeline, { trigger: 'failed', after: 'skipped' })
    await retryPipeline(box.core, { pipelineId: made.id, userId: 1 })
    await becomes(box, pipeline, { trigger: 'pending', after: 'created' })
    await box.tasks.run('settle_bridges')
    await end(box, runner, 'success')
    await becomes(box, pipeline, { trigger: 'success', after: 'pending' })
    const { count } = await box.core.store.read.db
      .selectFrom('pipelines')
      .select((e) => e.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    expect(Number(count)).toBe(2)
  })

  it('cancels the child with the parent', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await parent(box, { include: 'child.yml', strategy: 'depend' })
    const made = await downstream(box, pipeline)
    await becomes(box, pipeline, { trigger: 'running', after: 'created' })
    await cancelPipeline(box.core, { pipelineId: pipeline.id, userId: 1 })
    await becomes(box, made, { child: 'canceled' })
    const ended = await box.core.store.read.db
      .selectFrom('events')
      .select('data')
      .where('pipeline_id', '=', made.id)
      .where('kind', '=', 'job.finished')
      .execute()
    expect(ended.map((event) => JSON.parse(event.data))).toMatchObject([{ to: 'canceled', by: 1 }])
    await becomes(box, pipeline, { trigger: 'canceled', after: 'canceled' })
  })

  it('fails with what is wrong with the child', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await parent(box, { include: 'missing.yml' })
    await becomes(box, pipeline, { trigger: 'failed', after: 'skipped' })
    expect(await bridge(box, pipeline)).toMatchObject({
      failure_reason: 'downstream_pipeline_creation_failed',
      failure_message: expect.stringContaining('missing.yml'),
    })
  })

  it('nests children two deep and no deeper', async () => {
    await using box = await startTestCore(engine)
    const self = JSON.stringify({ trigger: { trigger: { include: 'child.yml', strategy: 'depend' } } })
    const { pipeline } = await parent(box, { include: 'child.yml', strategy: 'depend' }, {}, self)
    const first = await downstream(box, pipeline)
    const second = await downstream(box, first as never)
    await becomes(box, second, { trigger: 'failed' })
    expect((await bridge(box, second as never)).failure_reason).toBe('reached_max_descendant_pipelines_depth')
    await becomes(box, pipeline, { trigger: 'failed', after: 'skipped' })
  })

  it('starts a pipeline of another project, with the variables that it forwards', async () => {
    await using box = await startTestCore(engine)
    const other = await box.project({ there: { script: 'x' } }, 'acme/other')
    const config = (forward: object) => ({
      variables: { TOP: 'top' },
      trigger: {
        variables: { NAME: '$CI_PROJECT_NAME-$TOP' },
        trigger: { project: 'acme/$WHERE', branch: 'dev', forward },
      },
    })
    const project = await box.project(config({}), 'acme/app')
    const variables = [{ key: 'WHERE', value: 'other' }]
    const made = await downstream(box, await box.pipeline(project, { variables }))
    expect(made).toMatchObject({ project_id: other.id, source: 'pipeline', ref: 'dev' })
    expect(await showPipelineVariables(box.core, made.id)).toEqual([
      { key: 'TOP', value: 'top' },
      { key: 'NAME', value: 'app-top' },
    ])
    box.configure(project, config({ yaml_variables: false, pipeline_variables: true }))
    const next = await downstream(box, await box.pipeline(project, { variables }))
    expect(await showPipelineVariables(box.core, next.id)).toEqual(variables)
  })

  it.each([
    ['acme/nowhere', 'downstream_bridge_project_not_found'],
    ['acme/app', 'invalid_bridge_trigger'],
    ['$EMPTY', 'downstream_project_trigger_resolved_to_empty'],
  ])('refuses to trigger %s: %s', async (target, reason) => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({ trigger: { trigger: { project: target } } }, 'acme/app')
    await becomes(box, pipeline, { trigger: 'failed' })
    expect((await bridge(box, pipeline)).failure_reason).toBe(reason)
  })

  it('asks what the user may do in the other project', async () => {
    await using box = await startTestCore(engine)
    const other = await box.project({ there: { script: 'x' } }, 'acme/other')
    const project = await box.project({ trigger: { trigger: 'acme/other' } }, 'acme/app')
    const ada = await box.core.store.write((tx) =>
      insertUser(tx, { username: 'ada', name: 'Ada', email: 'a@x', isAdmin: 0 }),
    )
    const hidden = await box.pipeline(project, { user: ada, ref: 'one' })
    await becomes(box, hidden, { trigger: 'failed' })
    expect((await bridge(box, hidden)).failure_reason).toBe('downstream_bridge_project_not_found')
    await box.core.store.write((tx) =>
      tx.db.updateTable('projects').set({ visibility: 'public' }).where('id', '=', other.id).execute(),
    )
    const seen = await box.pipeline(project, { user: ada, ref: 'two' })
    await becomes(box, seen, { trigger: 'failed' })
    expect((await bridge(box, seen)).failure_reason).toBe('insufficient_bridge_permissions')
    // Nothing begins elsewhere in the name of somebody who is blocked.
    await box.core.store.write((tx) =>
      insertMember(
        tx,
        { projectId: other.id },
        { userId: ada.id, accessLevel: 40, expiresAt: null, createdById: null },
      ),
    )
    await box.core.store.write((tx) => setUserState(tx, ada.id, 'blocked'))
    const blocked = await box.pipeline(project, { user: ada, ref: 'three' })
    await becomes(box, blocked, { trigger: 'failed' })
    expect((await bridge(box, blocked)).failure_reason).toBe('insufficient_bridge_permissions')
  })

  it('finds circles among projects, and trees that grow too large', async () => {
    await using box = await startTestCore(engine, { pipelineTreeLimit: 50 })
    const a = await box.project({ trigger: { trigger: 'acme/b' } }, 'acme/a')
    await box.project({ trigger: { trigger: 'acme/a' } }, 'acme/b')
    await box.pipeline(a)
    const failed = () =>
      box.core.store.read.db.selectFrom('jobs').select('failure_reason').where('status', '=', 'failed').execute()
    await eventually(async () => expect(await failed()).toEqual([{ failure_reason: 'pipeline_loop_detected' }]))

    await using small = await startTestCore(engine, { pipelineTreeLimit: 1 })
    const { pipeline } = await parent(small, { include: 'child.yml' })
    await becomes(small, pipeline, { trigger: 'failed', after: 'skipped' })
    expect((await bridge(small, pipeline)).failure_reason).toBe('reached_max_pipeline_hierarchy_size')
  })

  it('makes what a crash between two commits has left out', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project({ trigger: { trigger: { include: 'child.yml' }, when: 'manual' } })
    box.repositories.files.get(project.id)!.set('child.yml', child)
    const pipeline = await box.pipeline(project)
    await box.core.store.write((tx) => tx.db.updateTable('jobs').set({ status: 'pending' }).execute())
    await box.tasks.run('settle_bridges')
    await becomes(box, pipeline, { trigger: 'success' })
    await box.tasks.run('settle_bridges')
    expect((await downstream(box, pipeline)).source).toBe('parent_pipeline')
    expect(await box.core.store.read.db.selectFrom('pipelines').select('id').execute()).toHaveLength(2)
  })

  it('makes one pipeline however many look at the trigger job at once, and cancels none', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project({ trigger: { trigger: { include: 'child.yml' }, when: 'manual' } })
    box.repositories.files.get(project.id)!.set('child.yml', child)
    const pipeline = await box.pipeline(project)
    await box.core.store.write((tx) => tx.db.updateTable('jobs').set({ status: 'pending' }).execute())
    const { id } = await bridge(box, pipeline)
    await Promise.all([1, 2, 3].map(() => triggerDownstream(box.core, id)))
    await becomes(box, pipeline, { trigger: 'success' })
    const made = await box.core.store.read.db
      .selectFrom('pipelines')
      .selectAll()
      .where('source_job_id', '=', id)
      .execute()
    expect(made).toHaveLength(1)
    expect(made[0]!.status).not.toBe('canceled')
  })
})
