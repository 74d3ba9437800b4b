/** Which runners serve which project, and how that is changed. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { leaseJob } from '../../src/core/operations/lease-job.js'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('enables a project runner for a further project, unless it is locked', async () => {
    const [first, second] = [(await box.run(oneJob, 'scope/a')).project, (await box.run(oneJob, 'scope/b')).project]
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: first.id },
    })
    const enable = (project: number, id = runner.id) =>
      box.admin('POST', `/projects/${project}/runners`, { json: { runner_id: id } })
    expect((await enable(second.id)).status).toBe(201)
    expect((await enable(second.id)).status).toBe(201)
    const shown = (await box.admin('GET', `/runners/${runner.id}`)).body
    expect(new Set(shown.projects.map((one: { id: number }) => one.id))).toEqual(new Set([first.id, second.id]))
    expect((await box.poll(runner.token)).body.job_info.project_id).toBe(first.id)
    expect((await box.poll(runner.token)).body.job_info.project_id).toBe(second.id)

    expect((await box.admin('DELETE', `/projects/${second.id}/runners/${runner.id}`)).status).toBe(204)
    expect((await box.admin('DELETE', `/projects/${second.id}/runners/${runner.id}`)).status).toBe(404)
    expect((await box.admin('DELETE', `/projects/${first.id}/runners/${runner.id}`)).status).toBe(403)

    await box.admin('PUT', `/runners/${runner.id}`, { json: { locked: true } })
    const refused = await enable(second.id)
    expect([refused.status, refused.body.message]).toEqual([403, '403 Forbidden - Runner is locked'])
    const { body: instance } = await box.admin('POST', '/user/runners', { json: { runner_type: 'instance_type' } })
    expect((await enable(first.id, instance.id)).status).toBe(403)
    expect((await enable(first.id, 999_999)).status).toBe(404)
    expect((await box.admin('POST', `/projects/${first.id}/runners`)).body).toEqual({ error: 'runner_id is missing' })
    const somebody = await person(box, 'scope-somebody')
    expect(
      (await box.send('POST', `/projects/${first.id}/runners`, { headers: somebody.headers, json: { runner_id: 1 } }))
        .status,
    ).toBe(404)
  })

  it('shows the runners of a group, which serve what lies below it', async () => {
    const { project } = await box.run(oneJob, 'team/inner/app')
    const group = (await box.admin('GET', '/groups/team')).body
    expect(group).toMatchObject({ full_path: 'team', path: 'team', parent_id: null })
    expect((await box.admin('GET', '/groups/nowhere')).status).toBe(404)
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'group_type', group_id: group.id },
    })
    const list = await box.admin('GET', `/groups/${group.id}/runners`)
    expect(list.body.map((one: { id: number }) => one.id)).toEqual([runner.id])
    expect((await box.poll(runner.token)).body.job_info.project_id).toBe(project.id)
  })

  it('takes instance and group runners away from a project, and gives them back to what waits', async () => {
    const { project } = await box.run(oneJob, 'switched/app')
    const group = (await box.admin('GET', '/groups/switched')).body
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'group_type', group_id: group.id },
    })
    const set = (json: object) => box.admin('PUT', `/projects/${project.id}`, { json })
    expect((await set({ group_runners_enabled: false, build_timeout: 1200 })).body).toMatchObject({
      group_runners_enabled: false,
      build_timeout: 1200,
    })
    expect((await box.poll(runner.token)).status).toBe(204)
    await set({ group_runners_enabled: true, jobs_enabled: false })
    expect((await box.poll(runner.token)).status).toBe(204)
    await set({ jobs_enabled: true })
    const taken = await box.poll(runner.token)
    expect(taken.body.runner_info.timeout).toBe(1200)
    expect((await set({})).status).toBe(400)
    expect((await set({ build_timeout: 5 })).body).toEqual({
      message: { build_timeout: ['needs to be between 10 minutes and 1 month'] },
    })
  })

  it('gives a runner with a limit no more jobs than that, over all its processes', async () => {
    const { project } = await box.run({ a: { script: 'x' }, b: { script: 'x' }, c: { script: 'x' } }, 'limited/app')
    const { core } = box
    const one = await core.runner({ type: 'project', projectId: project.id, jobLimit: 2, systemId: 's_one' })
    const two = await core.manager(one.runner, one.token, [], 's_two')
    const offers = [await one.request(), await two.request(), await one.request()]
    expect(offers.map((outcome) => outcome.offer?.jobName)).toEqual(['a', 'b', undefined])
    const asked = await Promise.all([leaseJob(core.core, one.claimant()), leaseJob(core.core, two.claimant())])
    expect(asked.every((outcome) => outcome.offer === undefined)).toBe(true)
    const waiter = one.wait(5)
    await core.core.dispatcher.sweep()
    expect(waiter.offers).toEqual([])
    expect(core.core.dispatcher.violations).toBe(0)
    core.core.dispatcher.remove(waiter)
    const bad = await box.admin('PUT', `/runners/${one.runner.id}`, { json: { job_limit: -1 } })
    expect(bad.status).toBe(400)
    expect((await box.admin('PUT', `/runners/${one.runner.id}`, { json: { job_limit: 3 } })).body.job_limit).toBe(3)
  })
})
