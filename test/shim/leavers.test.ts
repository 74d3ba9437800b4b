/** Who is blocked, or no member any more, runs nothing from then on: no schedule, and no retry that a job makes by itself. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { onePhaseInfo, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'
import { takeJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  let count = 0
  /** A project in a group, with somebody who is a member of either. */
  async function scene(level: number, where: 'group' | 'project' = 'group') {
    const path = `leavers-${engine}-${++count}`
    const project = await box.core.project({ work: { script: 'x', retry: 2 } }, `${path}/app`)
    const one = await person(box, `one-of-${path}`)
    const place = where === 'group' ? `/groups/${path}` : `/projects/${project.id}`
    await box.admin('POST', `${place}/members`, { json: { user_id: one.user.id, access_level: level } })
    const as = (method: string, at: string, json?: object) =>
      box.send(method, at, { headers: one.headers, ...(json ? { json } : {}) })
    const url = `/projects/${project.id}/pipeline_schedules`
    const plan = async () => {
      const made = await as('POST', url, { description: 'nightly', ref: 'topic', cron: '0 1 * * *' })
      expect(made.status).toBe(201)
      return `${url}/${made.body.id}`
    }
    return { project, path, one, as, place, plan }
  }
  const active = async (schedule: string) => (await box.admin('GET', schedule)).body.active
  const stopped = async (userId: number) => {
    const rows = await box.core.core.store.read.db.selectFrom('events').selectAll().execute()
    return rows.filter((row) => row.kind === 'schedule.stopped' && JSON.parse(row.data!).user === userId).length
  }

  const leavings: [how: string, leave: (of: Awaited<ReturnType<typeof scene>>) => Promise<{ status: number }>][] = [
    ['is removed', ({ place, one }) => box.admin('DELETE', `${place}/members/${one.user.id}`)],
    ['goes', ({ place, one, as }) => as('DELETE', `${place}/members/${one.user.id}`)],
    [
      'is a reporter from now on',
      ({ place, one }) => box.admin('PUT', `${place}/members/${one.user.id}`, { json: { access_level: 20 } }),
    ],
    ['is blocked', ({ one }) => box.admin('POST', `/users/${one.user.id}/block`)],
  ]
  it.each(leavings)('switches off the schedules of who %s, and tells of it', async (_, leave) => {
    const of = await scene(30)
    const [schedule, off] = [await of.plan(), await of.plan()]
    await of.as('PUT', off, { active: false })
    const others = await box.admin('POST', `/projects/${of.project.id}/pipeline_schedules`, {
      json: { description: 'x', ref: 'main', cron: '0 1 * * *' },
    })
    expect([200, 201, 204]).toContain((await leave(of)).status)
    expect([await active(schedule), await stopped(of.one.user.id)]).toEqual([false, 1])
    expect(await active(`/projects/${of.project.id}/pipeline_schedules/${others.body.id}`)).toBe(true)
    const audit = (await box.admin('GET', '/api/signalbox/v1/audit?kind=schedule.stopped')).body
    expect(audit[0]).toMatchObject({ project_id: of.project.id, data: { user: of.one.user.id } })
    expect((await box.admin('GET', '/api/signalbox/v1/audit/verify')).body.valid).toBe(true)
  })

  it('leaves schedules on where the level stays: by another membership, or in another project', async () => {
    const of = await scene(30)
    const elsewhere = await scene(30, 'project')
    const own = await elsewhere.plan()
    const schedule = await of.plan()
    await box.admin('POST', `/projects/${of.project.id}/members`, {
      json: { user_id: of.one.user.id, access_level: 40 },
    })
    expect(
      (await box.admin('DELETE', `/groups/${of.path}/members/${of.one.user.id}?skip_subresources=true`)).status,
    ).toBe(204)
    expect([await active(schedule), await active(own), await stopped(of.one.user.id)]).toEqual([true, true, 0])
    expect((await box.admin('DELETE', `/projects/${of.project.id}/members/${of.one.user.id}`)).status).toBe(204)
    expect([await active(schedule), await active(own)]).toEqual([false, true])
  })

  it('switches off those of a token that is revoked', async () => {
    const { project } = await scene(30)
    const json = { name: 'bot', scopes: ['api'], access_level: 40 }
    const { body } = await box.admin('POST', `/projects/${project.id}/access_tokens`, { json })
    const url = `/projects/${project.id}/pipeline_schedules`
    const made = await box.send('POST', url, {
      headers: { 'PRIVATE-TOKEN': body.token },
      json: { description: 'x', ref: 'main', cron: '0 1 * * *' },
    })
    await box.admin('DELETE', `/projects/${project.id}/access_tokens/${body.id}`)
    expect([made.status, await active(`${url}/${made.body.id}`)]).toEqual([201, false])
  })

  const jobsOf = async (projectId: number, pipelineId: number) => {
    const { body } = await box.admin('GET', `/projects/${projectId}/pipelines/${pipelineId}/jobs?include_retried=true`)
    return (body as { status: string }[]).map(({ status }) => status).toSorted()
  }

  it.each([
    ['who stays', async () => undefined, ['failed', 'pending']],
    ...leavings.map(([how, leave]) => [`who ${how}`, leave, ['failed']] as const),
  ] as const)('tries a job again by itself for %s as far as that one may', async (_, leave, expected) => {
    const of = await scene(30)
    const runner = await box.runnerToken({ type: 'project', projectId: of.project.id, description: of.path })
    const pipeline = (await of.as('POST', `/projects/${of.project.id}/pipeline`, { ref: 'topic' })).body
    const job = await takeJob(box, of.project.id, runner, { info: onePhaseInfo })
    await leave(of)
    await job.put({ state: 'failed', failure_reason: 'script_failure' })
    expect(await jobsOf(of.project.id, pipeline.id)).toEqual(expected)
  })
})
