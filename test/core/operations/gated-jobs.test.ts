import { expect, it } from 'vitest'
import { environmentSlug, guessTier } from '../../../src/core/environment.js'
import { levels } from '../../../src/core/member.js'
import { acceptLease } from '../../../src/core/operations/accept-lease.js'
import { cancelJob } from '../../../src/core/operations/cancel-job.js'
import { protectEnvironment } from '../../../src/core/operations/edit-environment.js'
import { finishJob } from '../../../src/core/operations/finish-job.js'
import { playJob } from '../../../src/core/operations/play-job.js'
import { stopEnvironment } from '../../../src/core/operations/stop-environment.js'
import { updateResourceGroup } from '../../../src/core/operations/update-resource-group.js'
import type { Offer } from '../../../src/core/payload/offer.js'
import type { Pipeline } from '../../../src/core/pipeline.js'
import { saveDotenvVariables } from '../../../src/core/store/dotenv-variables.js'
import { findEnvironmentByName, findLastDeployment } from '../../../src/core/store/environments.js'
import { getJob } from '../../../src/core/store/jobs.js'
import { deleteMember, insertMember } from '../../../src/core/store/members.js'
import { findResourceGroup, type ProcessMode } from '../../../src/core/store/resource-groups.js'
import { insertUser, setUserState } from '../../../src/core/store/users.js'
import { startTestCore, type TestCore, type TestRunner } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { onBothEngines } from '../../support/stores.js'

async function finish(box: TestCore, by: TestRunner, offer: Offer, state: 'success' | 'failed' = 'success') {
  await acceptLease(box.core, { ...offer, managerId: by.manager.id })
  await finishJob(box.core, {
    ...offer,
    report: { state, exitCode: null, failureReason: null, message: null, logLength: null, logCrc32: null },
  })
}

const jobId = (box: TestCore, pipeline: Pipeline, name: string) =>
  box.core.store.read.db
    .selectFrom('jobs')
    .select('id')
    .where('pipeline_id', '=', pipeline.id)
    .where('name', '=', name)
    .where('retried', '=', 0)
    .executeTakeFirstOrThrow()
    .then((row) => row.id)

/** Resources are assigned after the commit that freed them. */
const becomes = (box: TestCore, pipeline: Pipeline, statuses: Record<string, string>) =>
  eventually(async () => expect(await box.statuses(pipeline)).toEqual(statuses))

const deploy = { deploy: { script: 'x', resource_group: 'production', environment: 'production' } }

onBothEngines((engine) => {
  it('lets one job of a resource group run at a time', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { pipeline } = await box.run({
      a: { script: 'x', resource_group: 'r' },
      b: { script: 'x', resource_group: 'r' },
      c: { script: 'x' },
    })
    await becomes(box, pipeline, { a: 'pending', b: 'waiting_for_resource', c: 'pending' })
    const first = (await runner.request()).offer!
    expect(first.jobName).toBe('a')
    await finish(box, runner, first)
    await becomes(box, pipeline, { a: 'success', b: 'pending', c: 'pending' })
    await cancelJob(box.core, { jobId: await jobId(box, pipeline, 'b') })
    await eventually(async () =>
      expect(await findResourceGroup(box.core.store.read, pipeline.projectId, 'r')).toMatchObject({
        holderJobId: null,
      }),
    )
    expect(box.box.reports).toEqual([])
  })

  it.each<[ProcessMode, string[]]>([
    ['unordered', ['p1 pending', 'p2 waiting_for_resource', 'p3 waiting_for_resource']],
    ['oldest_first', ['p1 pending', 'p2 waiting_for_resource', 'p3 waiting_for_resource']],
    ['newest_first', ['p1 waiting_for_resource', 'p2 waiting_for_resource', 'p3 pending']],
    ['newest_ready_first', ['p1 waiting_for_resource', 'p2 waiting_for_resource', 'p3 pending']],
  ])('serves them in the order of the mode %s', async (mode, expected) => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const project = await box.project({ holder: { script: 'x', resource_group: 'r' } })
    const holder = await box.pipeline(project)
    await becomes(box, holder, { holder: 'pending' })
    await updateResourceGroup(box.core, { projectId: project.id, key: 'r', processMode: mode })
    box.repositories.files
      .get(project.id)!
      .set('.gitlab-ci.yml', JSON.stringify({ j: { script: 'x', resource_group: 'r' } }))
    box.repositories.sha = '2'.repeat(40)
    const later: Pipeline[] = []
    for (const ref of ['p1', 'p2', 'p3']) later.push(await box.pipeline(project, { ref }))
    await finish(box, runner, (await runner.request()).offer!)
    await eventually(async () => {
      const statuses = await Promise.all(later.map((pipeline) => box.statuses(pipeline)))
      expect(statuses.map((one, i) => `p${i + 1} ${one.j}`)).toEqual(expected)
    })
  })

  it('holds a group back for a job at its head that is not ready, where the mode is oldest first', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const project = await box.project({
      build: { script: 'x', stage: 'build' },
      j: { script: 'x', resource_group: 'r' },
    })
    const older = await box.pipeline(project, { ref: 'one' })
    await updateResourceGroup(box.core, { projectId: project.id, key: 'r', processMode: 'oldest_first' })
    const newer = await box.pipeline(project, { ref: 'two' })
    const builds = [(await runner.request()).offer!, (await runner.request()).offer!]
    await finish(box, runner, builds[1]!)
    await becomes(box, newer, { build: 'success', j: 'waiting_for_resource' })
    await box.tasks.run('assign_resources')
    expect(await box.statuses(newer)).toMatchObject({ j: 'waiting_for_resource' })
    await finish(box, runner, builds[0]!, 'failed')
    // Its job is skipped: nobody is before the other any more.
    await becomes(box, newer, { build: 'success', j: 'pending' })
    expect(await box.statuses(older)).toEqual({ build: 'failed', j: 'skipped' })
  })

  it('frees what a doomed job has kept', async () => {
    await using box = await startTestCore(engine)
    const { pipeline } = await box.run({
      a: { script: 'x', resource_group: 'r' },
      b: { script: 'x', resource_group: 'r' },
    })
    await becomes(box, pipeline, { a: 'pending', b: 'waiting_for_resource' })
    await box.core.store.write((tx) =>
      tx.db
        .updateTable('jobs')
        .set({
          status: 'failed',
          in_queue: 0,
          failure_reason: 'data_integrity_failure',
          updated_at: tx.now,
          finished_at: tx.now,
        })
        .where('name', '=', 'a')
        .execute(),
    )
    expect(await box.tasks.run('assign_resources')).toBe('nothing to do')
    box.clock.raise(box.clock.now() + 5 * 60_000)
    expect(await box.tasks.run('assign_resources')).toBe('1 freed, 1 assigned')
  })

  it('plays a manual job with other inputs, checked, and keeps them when it is tried again', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const inputs = {
      size: { type: 'number', default: '3', options: [3, 4] },
      where: { default: 7, regex: '^[a-z7]+$' },
    }
    const { pipeline } = await box.run({ ask: { script: 'x', when: 'manual', inputs } })
    const id = await jobId(box, pipeline, 'ask')
    for (const [given, says] of [
      [{ nope: 1 }, 'unknown input arguments: nope'],
      [{ size: 5 }, 'size input: provided value "5" is not in the list'],
      [
        { where: 'NO', size: 'x' },
        'size input: provided value is not a number, where input: provided value does not match',
      ],
    ] as const) {
      const refused = playJob(box.core, { jobId: id, userId: 1, inputs: given })
      await expect(refused).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining(says) })
    }
    await playJob(box.core, { jobId: id, userId: 1, inputs: { size: '4' } })
    const expected = [
      { key: 'size', value: { type: 'number', content: 4, sensitive: false } },
      { key: 'where', value: { type: 'string', content: '7', sensitive: false } },
    ]
    const first = (await runner.request()).offer!
    expect(JSON.parse(first.payload.toString()).inputs).toEqual(expected)
    await finish(box, runner, first, 'failed')
    await playJob(box.core, { jobId: id, userId: 1 })
    expect(JSON.parse((await runner.request()).offer!.payload.toString()).inputs).toEqual(expected)
  })

  it('plays a manual job with variables, and keeps them when it is tried again', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { pipeline } = await box.run({ ask: { script: 'x', when: 'manual', variables: { WHO: 'file' } } })
    const id = await jobId(box, pipeline, 'ask')
    await playJob(box.core, { jobId: id, userId: 1, variables: [{ key: 'WHO', value: 'person' }] })
    const value = (offer: Offer) =>
      JSON.parse(offer.payload.toString())
        .variables.filter((one: { key: string }) => one.key === 'WHO')
        .map((one: { value: string }) => one.value)
        .at(-1)
    const first = (await runner.request()).offer!
    expect(value(first)).toBe('person')
    await finish(box, runner, first, 'failed')
    const again = await playJob(box.core, { jobId: id, userId: 1 })
    expect(again.id).not.toBe(id)
    expect(value((await runner.request()).offer!)).toBe('person')
    await expect(playJob(box.core, { jobId: again.id, userId: 1 })).rejects.toMatchObject({ code: 'invalid' })
  })

  it('opens a deployment, shows the environment after it, and stops it by its own job', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { project, pipeline } = await box.run({
      review: {
        script: 'x',
        variables: { HOST: '$DOMAIN', DOMAIN: 'example.com' },
        environment: {
          name: 'review/$CI_COMMIT_REF_NAME',
          url: 'https://$CI_ENVIRONMENT_SLUG.$HOST/$PLACE',
          on_stop: 'close',
          auto_stop_in: '1 day',
        },
      },
      close: {
        script: 'x',
        when: 'manual',
        environment: { name: 'review/$CI_COMMIT_REF_NAME', action: 'stop' },
      },
    })
    const { read } = box.core.store
    const environment = async () => (await findEnvironmentByName(read, project.id, 'review/main'))!
    expect(await environment()).toMatchObject({ state: 'available', tier: 'development' })
    const { offer } = await runner.request()
    await acceptLease(box.core, { ...offer!, managerId: runner.manager.id })
    expect(await findLastDeployment(read, (await environment()).id)).toMatchObject({
      status: 'running',
      onStop: 'close',
    })
    const reported = Buffer.from(JSON.stringify([{ key: 'PLACE', value: 'here' }]))
    await box.core.store.write((tx) => saveDotenvVariables(tx, offer!.jobId, box.core.keys.seal(reported)))
    await finish(box, runner, offer!)
    const { slug, id } = await environment()
    expect(await environment()).toMatchObject({
      externalUrl: `https://${slug}.example.com/here`,
      autoStopAt: box.clock.now() + 24 * 3_600_000,
    })
    expect(await findLastDeployment(read, id)).toMatchObject({ status: 'success', iid: 1 })

    box.clock.raise(box.clock.now() + 24 * 3_600_000)
    expect(await box.tasks.run('stop_environments')).toBe('1 environments')
    expect(await environment()).toMatchObject({ state: 'stopping', autoStopAt: null })
    expect(await box.statuses(pipeline)).toMatchObject({ close: 'pending' })
    await finish(box, runner, (await runner.request()).offer!)
    expect(await environment()).toMatchObject({ state: 'stopped' })
  })

  it('refuses a deployment that is older than the one that is there', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const project = await box.project({ deploy: { ...deploy.deploy, when: 'manual', resource_group: 'g' } })
    const older = await box.pipeline(project, { ref: 'one' })
    const newer = await box.pipeline(project, { ref: 'two' })
    await playJob(box.core, { jobId: await jobId(box, newer, 'deploy'), userId: 1 })
    await becomes(box, newer, { deploy: 'pending' })
    await finish(box, runner, (await runner.request()).offer!)
    const id = await jobId(box, older, 'deploy')
    expect(await playJob(box.core, { jobId: id, userId: 1 })).toMatchObject({
      status: 'failed',
      failureReason: 'failed_outdated_deployment_job',
    })
    // A rollback is a deployment of its own.
    const again = await playJob(box.core, { jobId: id, userId: 1 })
    expect(again.status).not.toBe('failed')
  })

  it('looks again whether a job is outdated when it gets the resource that it waited for', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const project = await box.project({ deploy: { ...deploy.deploy, when: 'manual' } })
    const older = await box.pipeline(project, { ref: 'one' })
    const newer = await box.pipeline(project, { ref: 'two' })
    await playJob(box.core, { jobId: await jobId(box, newer, 'deploy'), userId: 1 })
    await becomes(box, newer, { deploy: 'pending' })
    await playJob(box.core, { jobId: await jobId(box, older, 'deploy'), userId: 1 })
    expect(await box.statuses(older)).toEqual({ deploy: 'waiting_for_resource' })
    await finish(box, runner, (await runner.request()).offer!)
    await becomes(box, older, { deploy: 'failed' })
    expect(await getJob(box.core.store.read, await jobId(box, older, 'deploy'))).toMatchObject({
      failureReason: 'failed_outdated_deployment_job',
    })
    await eventually(async () =>
      expect(await findResourceGroup(box.core.store.read, project.id, 'production')).toMatchObject({
        holderJobId: null,
      }),
    )
  })

  it('tries a job again that is refused on its way, and ends the pipeline when that is asked for', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project({
      workflow: { auto_cancel: { on_job_failure: 'all' } },
      deploy: { script: 'x', environment: 'production', retry: 1 },
      other: { script: 'x' },
      later: { script: 'x', stage: 'deploy' },
    })
    await protectEnvironment(box.core, { projectId: project.id, name: 'production', deployers: [] })
    const bob = await box.core.store.write(async (tx) => {
      const user = await insertUser(tx, { username: 'bob', name: 'Bob', email: 'b@x', isAdmin: 0 })
      const member = { userId: user.id, accessLevel: levels.developer, expiresAt: null, createdById: null }
      await insertMember(tx, { projectId: project.id }, member)
      return user
    })
    const pipeline = await box.pipeline(project, { user: bob, ref: 'topic' })
    expect(await box.statuses(pipeline)).toEqual({ other: 'canceled', later: 'canceled', deploy: 'failed' })
    expect(await box.pipelineStatus(pipeline)).toBe('failed')
    const tries = await box.core.store.read.db
      .selectFrom('jobs')
      .select(['status', 'failure_reason', 'retried'])
      .where('name', '=', 'deploy')
      .orderBy('id')
      .execute()
    const refused = { status: 'failed', failure_reason: 'protected_environment_failure' }
    expect(tries).toEqual([
      { ...refused, retried: 1 },
      { ...refused, retried: 0 },
    ])
  })

  it('keeps who may not deploy away from a protected environment', async () => {
    await using box = await startTestCore(engine)
    const project = await box.project(deploy)
    const [ada, bob] = await box.core.store.write(async (tx) => [
      await insertUser(tx, { username: 'ada', name: 'Ada', email: 'a@x', isAdmin: 0 }),
      await insertUser(tx, { username: 'bob', name: 'Bob', email: 'b@x', isAdmin: 0 }),
    ])
    const member = { userId: ada!.id, accessLevel: levels.developer, expiresAt: null, createdById: null }
    await box.core.store.write((tx) => insertMember(tx, { projectId: project.id }, member))
    await protectEnvironment(box.core, { projectId: project.id, name: 'production', deployers: [ada!.id] })
    const refused = await box.pipeline(project, { ref: 'one', user: bob! })
    expect(await box.statuses(refused)).toEqual({ deploy: 'failed' })
    const { failure_reason: reason } = await box.core.store.read.db
      .selectFrom('jobs')
      .select('failure_reason')
      .executeTakeFirstOrThrow()
    expect(reason).toBe('protected_environment_failure')
    const allowed = await box.pipeline(project, { ref: 'two', user: ada! })
    await becomes(box, allowed, { deploy: 'pending' })
    // What one was allowed as a member, or before one was blocked, one is not any more.
    await box.core.store.write((tx) => setUserState(tx, ada!.id, 'blocked'))
    expect(await box.statuses(await box.pipeline(project, { ref: 'three', user: ada! }))).toEqual({ deploy: 'failed' })
    await box.core.store.write((tx) => setUserState(tx, ada!.id, 'active'))
    await box.core.store.write((tx) => deleteMember(tx, { projectId: project.id }, ada!.id))
    expect(await box.statuses(await box.pipeline(project, { ref: 'four', user: ada! }))).toEqual({ deploy: 'failed' })
  })

  it('stops an environment without a job for it at once', async () => {
    await using box = await startTestCore(engine)
    const runner = await box.runner()
    const { project, pipeline } = await box.run(deploy)
    await becomes(box, pipeline, { deploy: 'pending' })
    await finish(box, runner, (await runner.request()).offer!)
    const { id } = (await findEnvironmentByName(box.core.store.read, project.id, 'production'))!
    expect(await stopEnvironment(box.core, { environmentId: id, userId: 1 })).toMatchObject({ state: 'stopped' })
  })
})

it.each([
  ['production', 'production'],
  ['staging-1', 'staging-1'],
])('keeps %j as a slug', (name, slug) => {
  expect(environmentSlug(name)).toBe(slug)
})

it.each(['review/main', '1', 'Production', 'x'.repeat(60), 'a--b', 'trailing-'])(
  'makes of %j a slug of its own that is fit for host names',
  (name) => {
    const slug = environmentSlug(name)
    expect(slug).toMatch(/^[a-z]([a-z0-9-]{0,22}[a-z0-9])?$/)
    expect(slug).not.toContain('--')
    expect(slug).toMatch(/-[a-z0-9]{6}$/)
  },
)

it.each([
  ['production', 'production'],
  ['prod/eu', 'production'],
  ['staging', 'staging'],
  ['preprod', 'staging'],
  ['review/x', 'development'],
  ['qa', 'testing'],
  ['elsewhere', 'other'],
])('guesses the tier of %s: %s', (name, tier) => {
  expect(guessTier(name)).toBe(tier)
})
