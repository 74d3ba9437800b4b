import { afterAll, beforeAll, expect, it } from 'vitest'
import { createProject } from '../../src/core/operations/create-project.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox, until } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const make = async (json: object) => (await box.admin('POST', '/groups', { json })).body
  const paths = async (url: string) =>
    ((await box.admin('GET', url)).body as { full_path?: string; path_with_namespace?: string }[]).map(
      (one) => one.full_path ?? one.path_with_namespace,
    )

  it('makes, shows, lists and changes groups as GitLab does', async () => {
    const made = await box.admin('POST', '/groups', { json: { name: 'Tools & More', path: 'tools', description: 'd' } })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({
      name: 'Tools & More',
      path: 'tools',
      full_path: 'tools',
      full_name: 'tools',
      description: 'd',
      visibility: 'private',
      parent_id: null,
      web_url: 'http://box.test/groups/tools',
    })
    const { id } = made.body
    const sub = await make({ name: 'Sub', path: 'sub', parent_id: id, visibility: 'public' })
    expect(sub).toMatchObject({ full_path: 'tools/sub', parent_id: id, visibility: 'public' })
    await make({ name: 'Deep', path: 'deep', parent_id: sub.id })
    await box.admin('POST', '/projects', { json: { name: 'one', namespace_id: id } })
    await box.admin('POST', '/projects', { json: { name: 'two', namespace_id: sub.id } })

    expect((await box.admin('GET', '/groups/tools%2Fsub')).body).toEqual({ ...sub, shared_with_groups: [] })
    expect(await paths('/groups?search=tools')).toEqual(['tools', 'tools/sub', 'tools/sub/deep'])
    expect(await paths('/groups?top_level_only=true')).toEqual(['tools'])
    expect(await paths(`/groups/${id}/subgroups`)).toEqual(['tools/sub'])
    expect(await paths(`/groups/${id}/descendant_groups`)).toEqual(['tools/sub', 'tools/sub/deep'])
    expect(await paths(`/groups/${id}/projects`)).toEqual(['tools/one'])
    expect(await paths(`/groups/${id}/projects?include_subgroups=true`)).toEqual(['tools/sub/two', 'tools/one'])
    expect(await paths('/namespaces')).toContain('tools/sub/deep')
    expect((await box.admin('GET', `/namespaces/${id}`)).body).toMatchObject({ kind: 'group', full_path: 'tools' })
    const taken = async (path: string) => (await box.admin('GET', `/namespaces/${path}`)).body
    expect(await taken('tools/exists')).toEqual({ exists: true, suggests: ['tools1'] })
    expect(await taken('free/exists')).toEqual({ exists: false, suggests: [] })
    expect(await taken(`sub/exists?parent_id=${id}`)).toEqual({ exists: true, suggests: ['sub1'] })
    expect(await taken('sub/exists')).toEqual({ exists: false, suggests: [] })
    expect(await taken('sub/exists?parent_id=99999')).toEqual({ exists: false, suggests: [] })
    const paged = await box.admin('GET', '/groups?per_page=1&page=2')
    expect([paged.headers.get('x-total'), paged.headers.get('x-next-page')]).toEqual(['3', '3'])

    const renamed = await box.admin('PUT', `/groups/${id}`, { json: { path: 'kit', name: 'Kit' } })
    expect(renamed.body).toMatchObject({ name: 'Kit', full_path: 'kit' })
    expect(await paths(`/groups/${id}/projects?include_subgroups=true`)).toEqual(['kit/sub/two', 'kit/one'])
    expect((await box.admin('GET', '/groups/kit%2Fsub%2Fdeep')).status).toBe(200)
    expect((await box.admin('GET', '/groups/tools')).body).toEqual({ message: '404 Group Not Found' })
  })

  it('refuses paths that are none or taken, unknown parents, and whoever does not own the group', async () => {
    await make({ name: 'a', path: 'taken' })
    const refused = async (json: object) => {
      const { status, body } = await box.admin('POST', '/groups', { json })
      return [status, body]
    }
    expect(await refused({ name: 'a', path: 'TAKEN' })).toEqual([
      400,
      { message: { path: ['has already been taken'] } },
    ])
    expect((await refused({ name: 'a', path: '-x' }))[0]).toBe(400)
    expect(await refused({ name: 'a' })).toEqual([400, { error: 'path is missing' }])
    expect(await refused({ name: 'a', path: 'b', parent_id: 999_999 })).toEqual([
      404,
      { message: '404 Group Not Found' },
    ])
    expect((await box.admin('PUT', '/groups/taken', { json: {} })).status).toBe(400)
    const other = await person(box, 'other').then(async (one) => {
      const rows = await box.rows()
      const within = { name: 'x', path: 'x', parent_id: (await box.admin('GET', '/groups/taken')).body.id }
      expect((await box.send('POST', '/groups', { ...one, json: within })).status).toBe(404)
      expect((await box.send('DELETE', '/groups/taken', one)).status).toBe(404)
      expect(await box.rows()).toBe(rows)
      return one
    })
    expect((await box.send('GET', '/groups/taken', other)).status).toBe(404)
    await box.admin('PUT', '/groups/taken', { json: { visibility: 'internal' } })
    expect((await box.send('GET', '/groups/taken', other)).status).toBe(200)
    const seen = (await box.send('GET', '/groups', other)).body as { full_path: string }[]
    expect(seen.map((group) => group.full_path)).toContain('taken')
    expect(seen.map((group) => group.full_path)).not.toContain('kit')
  })

  it('gives what bears a user’s name to that user, whoever makes it', async () => {
    const { core, admin } = box.core
    const ada = await person(box, 'ada')
    const grace = await person(box, 'grace')
    const owns = async (who: { headers: Record<string, string> }, path: string) =>
      (await box.send('PUT', `/projects/${encodeURIComponent(path)}`, { ...who, json: { description: 'd' } })).status
    // By the whole path, by somebody else, before there is such a namespace.
    const made = await createProject(core, { path: 'Ada/one', user: admin })
    expect(made.fullPath).toBe('ada/one')
    await createProject(core, { path: 'grace/one', user: grace.user })
    expect([await owns(ada, 'ada/one'), await owns(grace, 'grace/one'), await owns(grace, 'ada/one')]).toEqual([
      200, 200, 404,
    ])
    for (const [path, user] of [
      ['ada/two', grace.user],
      ['ada/sub/two', ada.user],
      ['ada/sub/two', admin],
      ['grace/one/two', admin],
    ] as const) {
      await expect(createProject(core, { path, user }), path).rejects.toMatchObject({
        code: user === grace.user ? 'forbidden' : 'invalid',
      })
    }
    await person(box, 'mary')
    expect((await box.admin('POST', '/groups', { json: { name: 'm', path: 'Mary' } })).status).toBe(400)
  })

  it('deletes a group with all that is in it', async () => {
    const top = await make({ name: 'doomed', path: 'doomed' })
    const sub = await make({ name: 'sub', path: 'sub', parent_id: top.id })
    const { project } = await box.run({ job: { script: 'x' } }, 'doomed/sub/app')
    await box.admin('POST', `/groups/${sub.id}/variables`, { json: { key: 'A', value: 'b' } })
    const answer = await box.admin('DELETE', `/groups/${top.id}`)
    expect([answer.status, answer.body]).toEqual([202, { message: '202 Accepted' }])
    for (const url of [`/groups/${top.id}`, `/groups/${sub.id}`, `/projects/${project.id}`]) {
      expect([url, (await box.admin('GET', url)).status]).toEqual([url, 404])
    }
    expect((await make({ name: 'doomed', path: 'doomed' })).id).not.toBe(top.id)
    const { db } = box.core.core.store.read
    await until(async () => (await db.selectFrom('removals').select('id').execute()).length === 0)
    expect(await db.selectFrom('groups').select('id').where('id', 'in', [top.id, sub.id]).execute()).toEqual([])
    expect(await db.selectFrom('pipelines').select('id').where('project_id', '=', project.id).execute()).toEqual([])
    expect(box.core.logged.filter((line) => line.level === 'error')).toEqual([])
  })
})
