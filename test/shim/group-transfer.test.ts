/** Groups that go below others, or to the top, with all that is in them; and what the audit log says of groups. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine)
  })
  afterAll(() => box[Symbol.asyncDispose]())

  let count = 0
  const name = () => `g-${engine}-${++count}`
  async function owner() {
    const one = await person(box, `owner-${name()}`)
    const as = (method: string, path: string, json?: object) =>
      box.send(method, path, { headers: one.headers, ...(json ? { json } : {}) })
    const group = async (parent_id?: number, path = name()) =>
      (await as('POST', '/groups', { name: path, path, ...(parent_id === undefined ? {} : { parent_id }) })).body
    return { user: one.user, as, group }
  }

  it('takes everything along; projects are found by their old paths, and levels follow from the new place', async () => {
    const { as, group } = await owner()
    const [from, to] = [await group(), await group()]
    const moved = await group(from.id)
    const below = await group(moved.id, 'below')
    const project = (await as('POST', '/projects', { name: 'app', namespace_id: below.id })).body
    const reader = await person(box, `reader-${name()}`)
    await as('POST', `/groups/${to.id}/members`, { user_id: reader.user.id, access_level: 20 })
    const seen = async () => (await box.send('GET', `/projects/${project.id}`, { headers: reader.headers })).status
    expect(await seen()).toBe(404)
    const answer = await as('POST', `/groups/${moved.id}/transfer`, { group_id: to.id })
    const path = `${to.full_path}/${moved.path}`
    expect([answer.status, answer.body]).toMatchObject([201, { id: moved.id, parent_id: to.id, full_path: path }])
    expect((await as('GET', `/projects/${project.id}`)).body.path_with_namespace).toBe(`${path}/below/app`)
    const old = await as('GET', `/projects/${encodeURIComponent(project.path_with_namespace)}`)
    expect([old.status, old.body.id]).toEqual([200, project.id])
    expect(await seen()).toBe(200)
    const top = await as('POST', `/groups/${moved.id}/transfer`)
    expect([top.status, top.body.full_path, top.body.parent_id]).toEqual([201, moved.path, null])
    expect(await seen()).toBe(404)
    const audit = (await box.admin('GET', '/api/signalbox/v1/audit?kind=group.changed')).body
    expect(audit.slice(0, 2)).toMatchObject([
      { data: { group: moved.id, from: path, to: moved.path } },
      { data: { group: moved.id, to: path } },
    ])
  })

  it('refuses circles, taken paths, and whom the groups do not belong to', async () => {
    const { as, group, user } = await owner()
    const stranger = await owner()
    const [one, two] = [await group(), await group()]
    const inner = await group(one.id, 'inner')
    await group(two.id, 'inner')
    const foreign = await stranger.group()
    const open = await stranger.group()
    await stranger.as('POST', `/groups/${open.id}/members`, { user_id: user.id, access_level: 30 })
    const table: [group: number, json: object | undefined, status: number][] = [
      [one.id, { group_id: one.id }, 400],
      [one.id, { group_id: inner.id }, 400],
      [one.id, {}, 400],
      [inner.id, { group_id: one.id }, 400],
      [inner.id, { group_id: two.id }, 400],
      [inner.id, { group_id: foreign.id }, 404],
      [inner.id, { group_id: 999_999 }, 404],
      [inner.id, { group_id: 'x' }, 400],
      [inner.id, { group_id: open.id }, 403],
      [open.id, { group_id: two.id }, 403],
      [foreign.id, { group_id: two.id }, 404],
    ]
    for (const [id, json, status] of table) {
      const { answer, tables } = await box.changes(() => as('POST', `/groups/${id}/transfer`, json))
      expect([id, json, answer.status, tables]).toEqual([id, json, status, []])
    }
  })

  it('makes no circle of two that go below one another at once', async () => {
    const { as, group } = await owner()
    for (let i = 0; i < 5; i++) {
      const [one, two] = [await group(), await group()]
      const [inOne, inTwo] = [await group(one.id), await group(two.id)]
      const answers = await Promise.all([
        as('POST', `/groups/${one.id}/transfer`, { group_id: inTwo.id }),
        as('POST', `/groups/${two.id}/transfer`, { group_id: inOne.id }),
      ])
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 400])
    }
  })

  it('tells of groups and of protected environments in the audit log', async () => {
    const { as, group, user } = await owner()
    const made = await group()
    await as('PUT', `/groups/${made.id}`, { visibility: 'public' })
    const project = (await as('POST', '/projects', { name: 'app', namespace_id: made.id })).body
    const at = `/projects/${project.id}/protected_environments`
    await as('POST', at, { name: 'prod', deploy_access_levels: [{ access_level: 40 }] })
    await as('DELETE', `${at}/prod`)
    const entries = (await box.admin('GET', `/api/signalbox/v1/audit?user_id=${user.id}`)).body as {
      kind: string
      data: object
    }[]
    expect(entries).toMatchObject([
      { kind: 'project.changed', data: { protected_environment: 'prod', kept: false } },
      { kind: 'project.changed', data: { protected_environment: 'prod', deployers: '[{"level":40}]', kept: true } },
      { kind: 'project.created' },
      { kind: 'group.changed', data: { group: made.id, visibility: 'public' } },
      { kind: 'group.created', data: { group: made.id, path: made.full_path } },
    ])
    expect((await box.admin('GET', '/api/signalbox/v1/audit/verify')).body.valid).toBe(true)
  })
})
