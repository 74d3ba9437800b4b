/** A runner that serves the projects of several people: what each sees of the others, and may change. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Project } from '../../src/core/project.js'
import { insertGroup } from '../../src/core/store/projects.js'
import { onBothEngines } from '../support/stores.js'
import { type Answer, oneJob, onePhaseInfo, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'
import { takeJob } from './support/running-job.js'

onBothEngines((engine) => {
  let box: ShimBox
  let ada: Owner
  let bob: Owner
  let shared: { id: number; token: string }
  beforeAll(async () => {
    box = await startShimBox(engine)
    ada = await owner(`ada-${engine}`)
    bob = await owner(`bob-${engine}`)
    const { id } = ada.project
    shared = (await ada.send('POST', '/user/runners', { runner_type: 'project_type', project_id: id })).body
    await box.admin('POST', `/projects/${bob.project.id}/runners`, { json: { runner_id: shared.id } })
    await box.admin('PUT', `/runners/${shared.id}`, { json: { maintenance_note: 'rack 4' } })
    for (const { project } of [ada, bob]) {
      await box.core.pipeline(project, { ref: `of-${project.path}` })
      await takeJob(box, project.id, shared.token, { info: onePhaseInfo })
    }
  })
  afterAll(() => box[Symbol.asyncDispose]())

  interface Owner {
    project: Project
    send(method: string, path: string, json?: object): Promise<Answer>
  }

  async function owner(name: string): Promise<Owner> {
    const { user, headers } = await person(box, name)
    await box.core.core.store.write((tx) =>
      insertGroup(tx, { path: name, fullPath: name, parentId: null, kind: 'user', ownerId: user.id }),
    )
    const project = await box.core.project({ [`secret-${name}`]: { script: 'x' } }, `${name}/app-${name}`)
    const send = (method: string, path: string, json?: object) =>
      box.send(method, path, { headers, ...(json ? { json } : {}) })
    return { project, send }
  }

  it('shows each only what is theirs', async () => {
    for (const [me, other] of [
      [ada, bob],
      [bob, ada],
    ] as const) {
      const jobs = await me.send('GET', `/runners/${shared.id}/jobs`)
      expect(jobs.body.map((job: { project: { id: number } }) => job.project.id)).toEqual([me.project.id])
      expect(jobs.headers.get('x-total')).toBe('1')
      const details = await me.send('GET', `/runners/${shared.id}`)
      expect(details.body.projects.map((one: { id: number }) => one.id)).toEqual([me.project.id])
      expect(details.body.maintenance_note).toBe(null)
      const managers = await me.send('GET', `/runners/${shared.id}/managers`)
      expect(managers.body).toEqual([expect.objectContaining({ system_id: 's_0123456789ab', ip_address: null })])
      for (const { text } of [jobs, details, managers]) {
        expect(text).not.toContain(other.project.path)
        expect(text).not.toContain('127.0.0.1')
      }
    }
    const all = await box.admin('GET', `/runners/${shared.id}/jobs`)
    expect(all.headers.get('x-total')).toBe('2')
    expect((await box.admin('GET', `/runners/${shared.id}`)).body).toMatchObject({ maintenance_note: 'rack 4' })
  })

  it('is changed only by who may administer all its projects', async () => {
    const one = `/runners/${shared.id}`
    const third = await owner(`third-${engine}`)
    const attempts: [method: string, path: string, json?: object][] = [
      ['PUT', one, { paused: true }],
      ['POST', `${one}/reset_authentication_token`],
      ['DELETE', one],
    ]
    for (const [method, path, json] of attempts) {
      const statuses = [ada, bob, third].map(async (who) => (await who.send(method, path, json)).status)
      expect([method, path, ...(await Promise.all(statuses))]).toEqual([method, path, 403, 403, 404])
    }
    const take = (who: Owner, project: Project) =>
      who.send('POST', `/projects/${project.id}/runners`, { runner_id: shared.id })
    expect((await take(bob, bob.project)).status).toBe(403)
    expect((await take(third, third.project)).status).toBe(404)
    expect((await box.poll(shared.token)).status).toBe(204)
    // One may leave it; then it is the other's alone.
    expect((await bob.send('DELETE', `/projects/${bob.project.id}/runners/${shared.id}`)).status).toBe(204)
    expect((await bob.send('GET', one)).status).toBe(404)
    expect((await ada.send('PUT', one, { description: 'mine' })).body.description).toBe('mine')
  })

  it('of the instance is seen by whoever has signed in, and by maintainers among those that serve a project', async () => {
    const { body } = await box.admin('POST', '/user/runners', { json: { runner_type: 'instance_type' } })
    const one = `/runners/${body.id}`
    expect((await ada.send('GET', one)).body).toMatchObject({ id: body.id, projects: [], ip_address: null })
    expect((await ada.send('GET', `${one}/jobs`)).status).toBe(403)
    expect((await ada.send('PUT', one, { paused: true })).status).toBe(403)
    const listed = await ada.send('GET', `/projects/${ada.project.id}/runners`)
    expect(listed.body.map((runner: { id: number }) => runner.id)).toEqual([body.id, shared.id])
    expect((await bob.send('GET', `/projects/${ada.project.id}/runners`)).status).toBe(404)
  })

  it('of a group is listed for its projects, unless they take none', async () => {
    const project = await box.core.project(oneJob, `team-${engine}/inner/app`)
    const group = (await box.admin('GET', `/groups/team-${engine}`)).body
    const { body } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'group_type', group_id: group.id },
    })
    const bot = async (access_level: number) =>
      (
        await box.admin('POST', `/projects/${project.id}/access_tokens`, {
          json: { name: 'b', scopes: ['api'], access_level },
        })
      ).body.token
    const [developer, maintainer] = [await bot(30), await bot(40)]
    const get = (token: string, path: string) => box.send('GET', path, { headers: { 'PRIVATE-TOKEN': token } })
    const list = `/projects/${project.id}/runners`
    const ids = async () => (await get(maintainer, `${list}?type=group_type`)).body.map((one: { id: number }) => one.id)
    expect(await ids()).toEqual([body.id])
    expect((await get(maintainer, `/runners/${body.id}`)).status).toBe(200)
    expect([(await get(developer, list)).status, (await get(developer, `/runners/${body.id}`)).status]).toEqual([
      403, 404,
    ])
    await box.admin('PUT', `/projects/${project.id}`, { json: { group_runners_enabled: false } })
    expect(await ids()).toEqual([])
  })
})
