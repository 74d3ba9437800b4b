/** Who may see, change and play pipeline schedules: gitlab app/policies/ci/pipeline_schedule_policy.rb */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Project } from '../../src/core/project.js'
import { onBothEngines } from '../support/stores.js'
import { type Answer, oneJob, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  let project: Project
  let url: string
  let developer: Bot
  let maintainer: Bot
  beforeAll(async () => {
    box = await startShimBox(engine)
    project = await box.core.project(oneJob, 'rights/app')
    url = `/projects/${project.id}/pipeline_schedules`
    developer = await bot(30)
    maintainer = await bot(40)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  interface Bot {
    token: string
    id: number
    send(method: string, path: string, json?: object): Promise<Answer>
  }

  async function bot(level: number): Promise<Bot> {
    const json = { name: 'bot', scopes: ['api'], access_level: level }
    const { token } = (await box.admin('POST', `/projects/${project.id}/access_tokens`, { json })).body
    const headers = { 'PRIVATE-TOKEN': token }
    const send = (method: string, path: string, json?: object) =>
      box.send(method, path, { headers, ...(json ? { json } : {}) })
    return { token, id: (await send('GET', '/user')).body.id, send }
  }

  /** A schedule of the administrator, with a secret. */
  async function made(ref: string): Promise<string> {
    const { body } = await box.admin('POST', url, { json: { description: 'x', ref, cron: '0 1 * * *' } })
    await box.admin('POST', `${url}/${body.id}/variables`, { json: { key: 'SECRET', value: 'hunter2' } })
    return `${url}/${body.id}`
  }

  it('shows the values of variables to the owner and maintainers only', async () => {
    const one = await made('topic')
    await box.admin('PUT', `/projects/${project.id}`, { json: { visibility: 'public' } })
    const stranger = await person(box, `stranger-${engine}`)
    const guest = await bot(10)
    for (const who of [developer, guest]) {
      const { status, body, text } = await who.send('GET', one)
      expect([status, 'variables' in body, text.includes('hunter2')]).toEqual([200, false, false])
    }
    const seen = await box.send('GET', one, { headers: stranger.headers })
    expect([seen.status, seen.text.includes('hunter2')]).toEqual([200, false])
    for (const answer of [await box.admin('GET', one), await maintainer.send('GET', one)]) {
      expect(answer.body.variables).toEqual([expect.objectContaining({ key: 'SECRET', value: 'hunter2' })])
    }
    const single = `${one}/variables/SECRET`
    for (const who of [developer, guest]) expect((await who.send('GET', single)).status).toBe(403)
    expect((await maintainer.send('GET', single)).body).toMatchObject({ key: 'SECRET', value: 'hunter2' })
    expect((await maintainer.send('GET', `${one}/variables/NONE`)).status).toBe(404)
    const own = await developer.send('POST', url, { description: 'mine', ref: 'topic', cron: '0 1 * * *' })
    expect([own.status, own.body.variables]).toEqual([201, []])
    await box.admin('PUT', `/projects/${project.id}`, { json: { visibility: 'private' } })
  })

  it('lets no developer change, take over or delete what runs as somebody else', async () => {
    const one = await made('topic')
    const before = (await box.admin('GET', one)).body
    const attempts: [method: string, path: string, json?: object][] = [
      ['PUT', one, { ref: 'other' }],
      ['PUT', one, { active: false }],
      ['POST', `${one}/take_ownership`],
      ['POST', `${one}/variables`, { key: 'A', value: 'b' }],
      ['PUT', `${one}/variables/SECRET`, { value: 'c' }],
      ['DELETE', `${one}/variables/SECRET`],
      ['DELETE', one],
    ]
    for (const [method, path, json] of attempts) {
      expect([method, path, (await developer.send(method, path, json)).status]).toEqual([method, path, 403])
    }
    expect((await box.admin('GET', one)).body).toEqual(before)
  })

  it('changes only what a request names of a variable, and answers with the one that it removes', async () => {
    const secret = `${await made('topic')}/variables/SECRET`
    const changed = await box.admin('PUT', secret, { json: { variable_type: 'file' } })
    const is = { key: 'SECRET', value: 'hunter2', variable_type: 'file', raw: false }
    expect([changed.status, changed.body]).toEqual([200, is])
    const removed = await box.admin('DELETE', secret)
    expect([removed.status, removed.body]).toEqual([202, is])
    expect((await box.admin('DELETE', secret)).status).toBe(404)
  })

  it('runs a schedule as whoever plays it', async () => {
    const one = await made('topic')
    expect((await developer.send('POST', `${one}/play`)).status).toBe(201)
    const { last_pipeline, owner } = (await box.admin('GET', one)).body
    expect(owner.username).toBe('root')
    const pipeline = (await box.admin('GET', `/projects/${project.id}/pipelines/${last_pipeline.id}`)).body
    expect([pipeline.source, pipeline.user.id]).toEqual(['schedule', developer.id])
  })

  it('keeps developers from schedules of a protected ref', async () => {
    const one = await made('main')
    expect((await developer.send('POST', `${one}/play`)).status).toBe(403)
    expect((await developer.send('POST', url, { description: 'x', ref: 'main', cron: '0 1 * * *' })).status).toBe(403)
    const own = await developer.send('POST', url, { description: 'x', ref: 'topic', cron: '0 1 * * *' })
    expect((await developer.send('PUT', `${url}/${own.body.id}`, { ref: 'refs/heads/main' })).status).toBe(403)
    expect((await developer.send('PUT', `${url}/${own.body.id}`, { ref: 'other' })).body.ref).toBe('other')
    expect((await maintainer.send('POST', `${one}/play`)).status).toBe(201)
  })

  it('makes what a maintainer changes the maintainer’s own', async () => {
    const one = await made('topic')
    const changed = await maintainer.send('PUT', one, { description: 'y' })
    expect([changed.status, changed.body.owner.id]).toEqual([200, maintainer.id])
    const other = await made('topic')
    await maintainer.send('PUT', `${other}/variables/SECRET`, { value: 'c' })
    expect((await box.admin('GET', other)).body.owner.id).toBe(maintainer.id)
    // An administrator's change leaves it to its owner.
    expect((await box.admin('PUT', one, { json: { description: 'z' } })).body.owner.id).toBe(maintainer.id)
    expect((await maintainer.send('POST', `${await made('topic')}/take_ownership`)).status).toBe(201)
  })

  it('is switched off when its owner may not start pipelines any more', async () => {
    const leaving = await bot(30)
    const own = (await leaving.send('POST', url, { description: 'x', ref: 'topic', cron: '0 1 * * *' })).body
    const { db } = box.core.core.store.read
    await box.core.core.store.write((tx) =>
      tx.db.updateTable('users').set({ access_level: 20 }).where('id', '=', leaving.id).execute(),
    )
    box.core.clock.raise(Date.parse(own.next_run_at))
    await box.core.tasks.run('run_schedules')
    const row = db.selectFrom('pipeline_schedules').select(['active', 'last_pipeline_id']).where('id', '=', own.id)
    expect(await row.executeTakeFirst()).toEqual({ active: 0, last_pipeline_id: null })
  })

  it('lists the pipelines that it has made', async () => {
    const one = await made('topic')
    expect((await box.admin('GET', `${one}/pipelines`)).body).toEqual([])
    for (let i = 0; i < 2; i++) await box.admin('POST', `${one}/play`)
    const { body, headers } = await box.admin('GET', `${one}/pipelines?per_page=1&sort=desc`)
    expect([body.length, headers.get('x-total')]).toEqual([1, '2'])
    expect(body[0].id).toBe((await box.admin('GET', one)).body.last_pipeline.id)
    expect((await box.admin('GET', `${url}/999999/pipelines`)).status).toBe(404)
    await box.admin('DELETE', `/projects/${project.id}/pipelines/${body[0].id}`)
    expect((await box.admin('GET', `${one}/pipelines`)).body).toHaveLength(1)
  })
})
