/** Releases over the API: with tags that are there, and tags that are made. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { deleteProject } from '../../src/core/operations/delete-project.js'
import { protectRef, unprotectRef } from '../../src/core/operations/edit-protection.js'
import { getJob } from '../../src/core/store/jobs.js'
import { insertMember } from '../../src/core/store/members.js'
import { createShim } from '../../src/shim/app.js'
import { eventually } from '../support/eventually.js'
import { adminToken, type GitBox, oneJob, startGitBox } from './support/git-box.js'

let box: GitBox
let server: http.Server
let origin: string

beforeAll(async () => {
  box = await startGitBox()
  const shim = createShim(box.core)
  server = http.createServer((req, res) => shim.handle(req, res))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await box[Symbol.asyncDispose]()
})

let count = 0

/** Asks below the releases of a new project. */
async function scene(visibility: 'private' | 'public' = 'private') {
  const path = `acme/r-${++count}`
  const { project, work, sha } = await box.filled({ '.gitlab-ci.yml': oneJob }, path)
  if (visibility === 'public') {
    await box.core.store.write((tx) =>
      tx.db.updateTable('projects').set({ visibility }).where('id', '=', project.id).execute(),
    )
  }
  const ask = async (method: string, route = '', json?: object, headers: object = { 'PRIVATE-TOKEN': adminToken }) => {
    const response = await fetch(`${origin}/api/v4/projects/${encodeURIComponent(path)}/releases${route}`, {
      method,
      redirect: 'manual',
      headers: { ...headers, ...(json ? { 'Content-Type': 'application/json' } : {}) },
      ...(json ? { body: JSON.stringify(json) } : {}),
    })
    const text = await response.text()
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
    const body: any = text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : undefined
    return { status: response.status, location: response.headers.get('location'), headers: response.headers, body }
  }
  return { path, project, work, sha, ask }
}

it('makes the tag that is missing, runs it, and shows the release in every way', async () => {
  const { path, project, sha, work, ask } = await scene()
  const made = await ask('POST', '', {
    tag_name: 'v1/0',
    ref: 'main',
    tag_message: 'made by a release',
    name: 'One',
    description: 'First **one**',
    assets: {
      links: [{ name: 'bin', url: 'https://example.com/bin', direct_asset_path: '/bin/app', link_type: 'package' }],
    },
  })
  const now = new Date(box.clock.now()).toISOString()
  const self = `http://box.test/${path}/-/releases/v1%2F0`
  const link = { name: 'bin', url: 'https://example.com/bin', direct_asset_url: `${self}/downloads/bin/app` }
  expect(made).toMatchObject({
    status: 201,
    body: {
      tag_name: 'v1/0',
      name: 'One',
      description: 'First **one**',
      created_at: now,
      released_at: now,
      upcoming_release: false,
      author: { username: 'root' },
      commit: { id: sha },
      assets: { count: 1, links: [{ ...link, link_type: 'package' }] },
      _links: { self },
    },
  })
  await work.git('fetch', '--quiet', '--tags', 'origin')
  expect(await work.git('for-each-ref', '--format=%(objecttype) %(contents:subject) %(taggername)', 'refs/tags')).toBe(
    'tag made by a release Administrator',
  )
  await eventually(async () => {
    const ofTag = (await box.pipelines()).filter((one) => one.projectId === project.id && one.tag === 1)
    expect(ofTag).toMatchObject([{ ref: 'v1/0', source: 'push', sha }])
  })
  expect((await ask('GET', '/v1%2F0')).body).toEqual(made.body)
  expect((await ask('GET')).body).toEqual([made.body])
  expect(await ask('GET', '/permalink/latest/assets/links?per_page=1&order_by=released_at')).toMatchObject({
    status: 302,
    location: `/api/v4/projects/${project.id}/releases/v1%2F0/assets/links?per_page=1`,
  })
  expect(await ask('GET', '/v1%2F0/downloads/bin/app')).toMatchObject({ status: 302, location: link.url })
  expect((await ask('GET', '/v1%2F0/downloads/other')).status).toBe(404)
})

it('makes releases of tags that are there, orders them by time, changes and deletes them', async () => {
  const { work, ask, sha } = await scene()
  await work.git('tag', 'old')
  await work.git('tag', 'new')
  await work.git('push', '--quiet', 'origin', '--tags')
  expect((await ask('POST', '', { tag_name: 'old', released_at: '2020-01-01T00:00:00Z' })).status).toBe(201)
  expect((await ask('POST', '', { tag_name: 'new', released_at: '2200-01-01' })).body.upcoming_release).toBe(true)
  const tags = async (query = '') => (await ask('GET', query)).body.map((one: { tag_name: string }) => one.tag_name)
  expect(await tags()).toEqual(['new', 'old'])
  expect(await tags('?sort=asc')).toEqual(['old', 'new'])
  expect(await tags('?per_page=1&page=2')).toEqual(['old'])
  expect((await ask('GET', '/permalink/latest')).location).toContain('/releases/new')
  const changed = await ask('PUT', '/old', { name: 'Older', description: 'said', released_at: '2019-01-01T00:00:00Z' })
  expect(changed).toMatchObject({
    status: 200,
    body: { tag_name: 'old', name: 'Older', description: 'said', released_at: '2019-01-01T00:00:00.000Z' },
  })
  expect(await ask('DELETE', '/old')).toMatchObject({ status: 200, body: { name: 'Older', commit: { id: sha } } })
  expect((await ask('GET', '/old')).status).toBe(404)
  expect(await work.git('ls-remote', 'origin', 'refs/tags/old')).toContain(sha)
})

it('has links that are made, changed and deleted', async () => {
  const { ask } = await scene()
  await ask('POST', '', { tag_name: 'v1', ref: 'main' })
  const links = '/v1/assets/links'
  const made = await ask('POST', links, { name: 'a', url: 'https://example.com/a' })
  expect(made).toMatchObject({ status: 201, body: { link_type: 'other', direct_asset_url: 'https://example.com/a' } })
  const { id } = made.body
  expect((await ask('PUT', `${links}/${id}`, { name: 'b', filepath: '/b', link_type: 'image' })).body).toMatchObject({
    id,
    name: 'b',
    url: 'https://example.com/a',
    link_type: 'image',
    direct_asset_url: expect.stringMatching(/\/-\/releases\/v1\/downloads\/b$/),
  })
  expect((await ask('GET', links)).body).toHaveLength(1)
  expect((await ask('GET', `${links}/${id}`)).body.name).toBe('b')
  const wrong: [string, string, object | undefined, number][] = [
    ['POST', links, { name: 'b', url: 'https://example.com/2' }, 400],
    ['POST', links, { name: 'c', url: 'https://example.com/a' }, 400],
    ['POST', links, { name: 'c', url: 'https://example.com/c', filepath: '/b' }, 400],
    ['POST', links, { name: 'c', url: 'https://example.com/c', filepath: 'c' }, 400],
    ['POST', links, { name: 'c', url: 'javascript:alert(1)' }, 400],
    ['POST', links, { name: 'c', url: 'https://example.com/c', link_type: 'x' }, 400],
    ['POST', links, { name: 'c' }, 400],
    ['PUT', `${links}/${id}`, { link_type: 'image' }, 400],
    ['GET', `${links}/99999`, undefined, 404],
    ['GET', '/v2/assets/links', undefined, 404],
  ]
  for (const [method, route, json, status] of wrong) {
    expect([route, json, (await ask(method, route, json)).status]).toEqual([route, json, status])
  }
  expect((await ask('DELETE', `${links}/${id}`)).body.name).toBe('b')
  expect((await ask('GET', links)).body).toEqual([])
})

it('refuses what cannot be released, in GitLab’s words', async () => {
  const { ask } = await scene()
  expect((await ask('POST', '', { tag_name: 'v1', ref: 'main' })).status).toBe(201)
  const wrong: [object, number, unknown][] = [
    [{}, 400, { error: 'tag_name is missing' }],
    [{ tag_name: 'v1', ref: 'main' }, 409, { message: 'Release already exists' }],
    [{ tag_name: 'v2' }, 422, { message: 'Ref is not specified' }],
    [{ tag_name: 'v2', ref: 'nowhere' }, 400, { message: 'Target nowhere is invalid' }],
    [{ tag_name: '-x', ref: 'main' }, 400, { message: 'Tag name invalid' }],
    [{ tag_name: 'a..b', ref: 'main' }, 400, { message: 'Tag name invalid' }],
    [{ tag_name: 'v2', ref: 'main', released_at: 'soon' }, 400, { error: 'released_at is invalid' }],
    [{ tag_name: 'v2', ref: 'main', milestones: ['m'] }, 400, { message: 'Milestone(s) not found: m' }],
    [{ tag_name: 'v2', ref: 'main', assets: { links: [{ name: 'a' }] } }, 400, { error: 'url is missing' }],
    [
      {
        tag_name: 'v2',
        ref: 'main',
        assets: { links: ['a', 'a'].map((name) => ({ name, url: `https://x/${name}` })) },
      },
      400,
      { message: { name: ['has already been taken'] } },
    ],
  ]
  for (const [json, status, body] of wrong) {
    const answer = await ask('POST', '', json)
    expect([json, answer.status, answer.body]).toEqual([json, status, body])
  }
  expect(await ask('PUT', '/v1', {})).toMatchObject({ status: 400, body: { message: 'params is empty' } })
  expect(await ask('PUT', '/v2', { name: 'x' })).toMatchObject({ status: 404 })
  expect((await ask('DELETE', '/v2')).status).toBe(404)
  // Nothing of that has left a tag.
  expect((await ask('POST', '', { tag_name: 'v2' })).status).toBe(422)
  expect(box.errors).toEqual([])
})

it('is read where the project is, made by who operates it and by its jobs, and goes with it', async () => {
  const { project, ask } = await scene('public')
  // Those of the other tests wait, too.
  let leased = await box.lease()
  while ((await getJob(box.core.store.read, leased.jobId)).projectId !== project.id) leased = await box.lease()
  const { token } = leased
  const own = { 'JOB-TOKEN': token }
  expect(await ask('POST', '', { tag_name: 'v1', ref: 'main' }, own)).toMatchObject({
    status: 201,
    body: { author: { username: 'root' } },
  })
  expect((await ask('GET', '/v1', undefined, own)).status).toBe(200)
  expect((await ask('GET', '/v1', undefined, {})).status).toBe(200)
  expect((await ask('POST', '', { tag_name: 'v2', ref: 'main' }, {})).status).toBe(401)
  const eve = await box.user('eve', ['api'])
  const asEve = { 'PRIVATE-TOKEN': eve.token }
  expect((await ask('GET', '', undefined, asEve)).status).toBe(200)
  for (const [method, route] of [
    ['POST', ''],
    ['PUT', '/v1'],
    ['DELETE', '/v1'],
    ['POST', '/v1/assets/links'],
  ]) {
    expect([method, (await ask(method!, route, { tag_name: 'v2', name: 'x', url: 'http://x' }, asEve)).status]).toEqual(
      [method, 403],
    )
  }
  const hidden = await scene()
  expect((await hidden.ask('GET', '', undefined, asEve)).status).toBe(404)
  await ask('POST', '/v1/assets/links', { name: 'a', url: 'https://example.com/a' })
  await deleteProject(box.core, { projectId: project.id, userId: null })
  await eventually(async () => {
    for (const table of ['releases', 'release_links'] as const) {
      const rows = box.core.store.read.db.selectFrom(table).select('id').where('project_id', '=', project.id)
      expect(await rows.execute()).toEqual([])
    }
  })
})

it('leaves releases of protected tags, and what is said of protected branches, to those who may change them', async () => {
  const { project, ask, sha } = await scene()
  expect((await ask('POST', '', { tag_name: 'v1', ref: 'main' })).status).toBe(201)
  const link = { name: 'a', url: 'https://example.com/a' }
  const { id } = (await ask('POST', '/v1/assets/links', link)).body
  const dev = await box.user('dev', ['api'])
  const asDev = { 'PRIVATE-TOKEN': dev.token }
  const member = { userId: dev.user.id, accessLevel: 30, expiresAt: null, createdById: null }
  await box.core.store.write((tx) => insertMember(tx, { projectId: project.id }, member))
  const deeds = async () => [
    (await ask('PUT', '/v1', { name: 'x' }, asDev)).status,
    (await ask('POST', '/v1/assets/links', { name: 'b', url: 'https://evil.example/b' }, asDev)).status,
    (await ask('PUT', `/v1/assets/links/${id}`, { url: 'https://evil.example/a' }, asDev)).status,
    (await ask('DELETE', `/v1/assets/links/${id}`, undefined, asDev)).status,
    (await ask('DELETE', '/v1', undefined, asDev)).status,
    (await ask('POST', '', { tag_name: 'v1', name: 'again' }, asDev)).status,
  ]
  const tag = { kind: 'tag', name: 'v*', push: 40, merge: 40, force: false } as const
  await protectRef(box.core, project.id, tag)
  expect(await deeds()).toEqual([403, 403, 403, 403, 403, 403])
  await unprotectRef(box.core, project.id, tag)
  expect(await deeds()).toEqual([200, 201, 200, 200, 200, 201])
  const say = (ref: string) => ask('POST', `/../statuses/${sha}`, { state: 'success', ref, name: 'check' }, asDev)
  expect([(await say('main')).status, (await say('topic')).status]).toEqual([403, 201])
})

it('says that a tag cannot stand above or below another one', async () => {
  const { ask } = await scene()
  expect((await ask('POST', '', { tag_name: 'v1', ref: 'main' })).status).toBe(201)
  expect((await ask('POST', '', { tag_name: 'w/1/2', ref: 'main' })).status).toBe(201)
  for (const tag of ['v1/x', 'v1/x/y', 'w', 'w/1']) {
    const message = `Tag ${tag} cannot stand above or below another tag`
    expect(await ask('POST', '', { tag_name: tag, ref: 'main' })).toMatchObject({ status: 400, body: { message } })
  }
})
