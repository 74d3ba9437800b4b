/** Environments, deployments and resource groups through GitLab's API. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('shows an environment with what was deployed there, stops and deletes it', async () => {
    const { project } = await box.run({ ship: { script: 'x', environment: 'staging' } }, 'env/a')
    const { body: runner } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: project.id },
    })
    const { body: job } = await box.poll(runner.token)
    const environmentName = job.variables.find((one: { key: string }) => one.key === 'CI_ENVIRONMENT_SLUG')
    expect(environmentName.value).toBe('staging')
    await box.send('PUT', `/jobs/${job.id}`, { json: { token: job.token, state: 'success' } })
    const list = await box.admin('GET', `/projects/${project.id}/environments`)
    expect(list.body).toMatchObject([{ name: 'staging', slug: 'staging', state: 'available', tier: 'staging' }])
    const url = `/projects/${project.id}/environments/${list.body[0].id}`
    expect((await box.admin('GET', url)).body.last_deployment).toMatchObject({
      iid: 1,
      status: 'success',
      deployable: { id: job.id },
      environment: { name: 'staging' },
    })
    expect((await box.admin('GET', `/projects/${project.id}/deployments?environment=staging`)).body).toHaveLength(1)
    expect((await box.admin('GET', `/projects/${project.id}/deployments?status=failed`)).body).toEqual([])
    expect((await box.admin('DELETE', url)).status).toBe(403)
    expect((await box.admin('POST', `${url}/stop`)).body).toMatchObject({ state: 'stopped' })
    expect((await box.admin('DELETE', url)).status).toBe(204)
    expect((await box.admin('GET', url)).status).toBe(404)
  })

  it('makes and changes environments by hand, and refuses names that are none', async () => {
    const { project } = await box.run({ a: { script: 'x' } }, 'env/b')
    const create = (json: object) => box.admin('POST', `/projects/${project.id}/environments`, { json })
    const { status, body } = await create({ name: 'prod', external_url: 'https://example.com' })
    expect([status, body.tier]).toEqual([201, 'production'])
    expect((await create({ name: 'prod' })).body).toEqual({ message: { name: ['has already been taken'] } })
    expect((await create({ name: 'a?b' })).status).toBe(400)
    expect((await create({})).body).toEqual({ error: 'name is missing' })
    const changed = await box.admin('PUT', `/projects/${project.id}/environments/${body.id}`, {
      json: { tier: 'other' },
    })
    expect(changed.body).toMatchObject({ tier: 'other', external_url: 'https://example.com' })
  })

  it('protects an environment by name', async () => {
    const { project } = await box.run({ a: { script: 'x' } }, 'env/c')
    const { user } = await person(box, 'env-deployer')
    const url = `/projects/${project.id}/protected_environments`
    const made = await box.admin('POST', url, { json: { name: 'prod', deploy_access_levels: [{ user_id: user.id }] } })
    expect([made.status, made.body.deploy_access_levels[0].user_id]).toEqual([201, user.id])
    expect((await box.admin('GET', url)).body).toHaveLength(1)
    expect((await box.admin('DELETE', `${url}/prod`)).status).toBe(204)
    expect((await box.admin('DELETE', `${url}/prod`)).status).toBe(404)
  })

  it('shows resource groups, who has and who wants them, and changes their order', async () => {
    const one = { script: 'x', resource_group: 'r' }
    const { project, pipeline } = await box.run({ a: one, b: one }, 'env/d')
    await eventually(async () =>
      expect(await box.core.statuses(pipeline)).toEqual({ a: 'pending', b: 'waiting_for_resource' }),
    )
    const url = `/projects/${project.id}/resource_groups`
    expect((await box.admin('GET', url)).body).toMatchObject([{ key: 'r', process_mode: 'unordered' }])
    expect((await box.admin('GET', `${url}/r/upcoming_jobs`)).body).toMatchObject([{ name: 'b' }])
    expect((await box.admin('GET', `${url}/r/current_job`)).body).toMatchObject({ name: 'a' })
    const put = (json: object) => box.admin('PUT', `${url}/r`, { json })
    expect((await put({ process_mode: 'newest_first' })).body).toMatchObject({ process_mode: 'newest_first' })
    expect((await put({ process_mode: 'sideways' })).status).toBe(400)
    expect((await box.admin('GET', `${url}/none`)).status).toBe(404)
  })

  it('plays a manual job with variables', async () => {
    const { project, pipeline } = await box.run({ ask: { script: 'x', when: 'manual' } }, 'env/e')
    const [job] = (await box.admin('GET', `/projects/${project.id}/pipelines/${pipeline.id}/jobs`)).body
    const url = `/projects/${project.id}/jobs/${job.id}/play`
    const bad = await box.admin('POST', url, { json: { job_variables_attributes: [{ key: '1', value: 'x' }] } })
    expect(bad.status).toBe(400)
    const played = await box.admin('POST', url, { json: { job_variables_attributes: [{ key: 'WHO', value: 'me' }] } })
    expect([played.status, played.body.status]).toEqual([200, 'pending'])
  })
})
