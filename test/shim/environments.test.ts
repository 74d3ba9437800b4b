/** Environments, deployments and resource groups through GitLab's API. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)

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
    const change = (json: object) => box.admin('PUT', `/projects/${project.id}/environments/${body.id}`, { json })
    const changed = await change({ tier: 'other', description: 'for guests' })
    const now = { tier: 'other', external_url: 'https://example.com', description: 'for guests' }
    expect(changed.body).toMatchObject(now)
    expect((await change({ tier: 'staging' })).body).toMatchObject({ ...now, tier: 'staging' })
    expect((await create({ name: 'qa', description: 'for us' })).body.description).toBe('for us')
    const listed = await box.admin('GET', `/projects/${project.id}/environments`)
    expect(listed.body.map((one: { description: string | null }) => one.description)).toEqual(['for guests', 'for us'])
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

  it('lets deploy whoever has the access level that protects an environment', async () => {
    const config = { a: { script: 'x', environment: 'prod' } }
    const project = await box.core.project(config, 'env/levels')
    const url = `/projects/${project.id}`
    const protect = (...deploy_access_levels: object[]) =>
      box.admin('POST', `${url}/protected_environments`, { json: { name: 'prod', deploy_access_levels } })
    // The branch is not protected: developers may start its pipelines.
    const statusFor = async (access_level: number) => {
      const json = { name: 'bot', scopes: ['api'], access_level, expires_at: inDays(20) }
      const { token } = (await box.admin('POST', `${url}/access_tokens`, { json })).body
      const headers = { 'PRIVATE-TOKEN': token }
      const made = await box.send('POST', `${url}/pipeline`, { headers, json: { ref: 'topic' } })
      const jobs = await box.admin('GET', `${url}/pipelines/${made.body.id}/jobs`)
      return jobs.body[0].failure_reason ?? jobs.body[0].status
    }
    const made = await protect({ access_level: 40 })
    expect([made.status, made.body.deploy_access_levels]).toEqual([
      201,
      [{ access_level: 40, access_level_description: 'Maintainers', user_id: null, group_id: null }],
    ])
    expect([await statusFor(30), await statusFor(40)]).toEqual(['protected_environment_failure', 'pending'])
    // Nor is it stopped, changed or taken away by who may not deploy to it.
    const json = { name: 'dev', scopes: ['api'], access_level: 30 }
    const { token } = (await box.admin('POST', `${url}/access_tokens`, { json })).body
    const as = async (method: string, path: string, json?: object) =>
      (await box.send(method, path, { headers: { 'PRIVATE-TOKEN': token }, ...(json ? { json } : {}) })).status
    const [environment] = (await box.admin('GET', `${url}/environments?name=prod`)).body
    const at = `${url}/environments/${environment.id}`
    const deeds = async () => [
      await as('PUT', at, { external_url: 'https://elsewhere.example' }),
      await as('POST', `${at}/stop`),
      await as('DELETE', at),
    ]
    expect(await deeds()).toEqual([403, 403, 403])
    await protect({ access_level: 30 })
    expect(await statusFor(30)).toBe('pending')
    expect(await deeds()).toEqual([200, 200, 204])
    await protect({ access_level: 60 })
    expect([await statusFor(40), await statusFor(50)]).toEqual(['protected_environment_failure', 'pending'])
    for (const wrong of [{}, { access_level: 20 }, { access_level: 40, user_id: 1 }, { group_id: 1 }]) {
      expect((await protect(wrong)).status).toBe(400)
    }
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
