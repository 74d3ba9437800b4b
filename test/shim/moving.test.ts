/** Projects are renamed and moved, and are still found by the paths that they had. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { authorize } from '../../src/git/access.js'
import { basic } from '../git/support/raw.js'
import { onBothEngines } from '../support/stores.js'
import { oneJob, type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  let ada: Awaited<ReturnType<typeof person>>
  let eve: Awaited<ReturnType<typeof person>>
  const groups: Record<string, number> = {}

  beforeAll(async () => {
    box = await startShimBox(engine)
    ada = await person(box, 'ada')
    eve = await person(box, 'eve')
    for (const name of ['first', 'second', 'closed']) {
      const { body } = await box.admin('POST', '/groups', { json: { name, path: name } })
      groups[name] = body.id
    }
    for (const name of ['first', 'second']) {
      await box.admin('POST', `/groups/${groups[name]}/members`, { json: { user_id: ada.user.id, access_level: 50 } })
    }
    await box.admin('POST', `/groups/${groups.first}/members`, { json: { user_id: eve.user.id, access_level: 40 } })
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const as = (who: typeof ada, method: string, path: string, json?: object) =>
    box.send(method, path, { headers: who.headers, ...(json ? { json } : {}) })
  const at = (path: string) => `/projects/${encodeURIComponent(path)}`
  const idAt = async (who: typeof ada, path: string) => (await as(who, 'GET', at(path))).body.id

  it('is found by its old paths, over git too, until something else takes them', async () => {
    const { id } = await box.core.project(oneJob, 'first/app')
    const renamed = await as(ada, 'PUT', `/projects/${id}`, { path: 'tool', description: 'x' })
    expect([renamed.status, renamed.body.path_with_namespace, renamed.body.description]).toEqual([
      200,
      'first/tool',
      'x',
    ])
    const moved = await as(ada, 'PUT', `${at('first/app')}/transfer`, { namespace: 'second' })
    expect([moved.status, moved.body.path_with_namespace]).toEqual([200, 'second/tool'])
    for (const path of ['first/app', 'First/Tool', 'second/tool']) expect(await idAt(ada, path)).toBe(id)
    const pull = { authorization: basic(ada.token), path: 'first/app', right: 'read', create: false } as const
    expect((await authorize(box.core.core, pull)).project.id).toBe(id)
    const pipeline = await as(ada, 'POST', `${at('first/app')}/pipeline`, { ref: 'main' })
    expect(pipeline.body.web_url).toContain('/second/tool/')

    // She is no member any more where it is now: neither is it there for her by any path.
    expect((await as(eve, 'GET', at('first/app'))).status).toBe(404)
    expect((await as(eve, 'GET', at('second/tool'))).status).toBe(404)

    const again = await as(ada, 'POST', '/projects', { path: 'app', namespace_id: groups.first })
    expect(again.status).toBe(201)
    expect(await idAt(ada, 'first/app')).toBe(again.body.id)
    expect(await idAt(ada, 'first/tool')).toBe(id)
    await as(ada, 'PUT', `/groups/${groups.second}`, { path: 'third' })
    expect(await idAt(ada, 'second/tool')).toBe(id)
    expect(await idAt(ada, 'third/tool')).toBe(id)
  })

  it('refuses what cannot be, and then changes nothing', async () => {
    const { id } = await box.core.project(oneJob, 'first/one')
    await box.core.project(oneJob, 'first/two')
    await box.core.project(oneJob, 'third/one')
    const cases: [who: typeof ada, path: string, json: object, status: number][] = [
      [ada, '', { path: 'two' }, 400],
      [ada, '', { path: 'TWO', description: 'y' }, 400],
      [ada, '', { path: 'a/b' }, 400],
      [ada, '', { path: '-' }, 400],
      [ada, '', { path: 'free', build_timeout: 1 }, 400],
      [ada, '', { path: 'free', default_branch: 'missing' }, 400],
      [ada, '', { path: 'free', wiki_access_level: 'enabled' }, 400],
      [eve, '', { path: 'free' }, 403],
      [eve, '/transfer', { namespace: 'third' }, 403],
      [ada, '/transfer', {}, 400],
      [ada, '/transfer', { namespace: groups.first }, 400],
      [ada, '/transfer', { namespace: 'third' }, 400],
      [ada, '/transfer', { namespace: 'closed' }, 404],
      [ada, '/transfer', { namespace: 'nowhere' }, 404],
    ]
    for (const [who, path, json, status] of cases) {
      const { answer, tables } = await box.changes(() => as(who, 'PUT', `/projects/${id}${path}`, json))
      expect([json, answer.status, tables], answer.text).toEqual([json, status, []])
    }
  })

  it('leads nowhere when the project is gone', async () => {
    const { id } = await box.core.project(oneJob, 'first/gone')
    await as(ada, 'PUT', `/projects/${id}`, { path: 'gone-for-good', description: 'x' })
    await as(ada, 'DELETE', `/projects/${id}`)
    for (const path of ['first/gone', 'first/gone-for-good']) {
      expect((await as(ada, 'GET', at(path))).status).toBe(404)
    }
  })

  it('gives one of two the path that both want', async () => {
    const names = ['left', 'right']
    const projects = await Promise.all(names.map((name) => box.core.project(oneJob, `first/${name}`)))
    const answers = await Promise.all(
      projects.map(({ id }) => as(ada, 'PUT', `/projects/${id}`, { path: 'wanted', description: 'z' })),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400])
  })
})
