import { afterAll, beforeAll, expect, it } from 'vitest'
import { pathRules } from '../../src/core/project.js'
import { adminToken } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'
import { adminTokenWith, person } from './support/people.js'

onBothEngines((engine) => {
  let box: ShimBox
  beforeAll(async () => {
    box = await startShimBox(engine, { rates: { wrongCredentials: 'off' } })
  })
  afterAll(() => box[Symbol.asyncDispose]())

  it('makes a project in the user’s own namespace, private, with the default branch main', async () => {
    const made = await box.admin('POST', '/projects', { json: { name: 'My First App!' } })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({
      name: 'My First App!',
      path: 'my-first-app',
      path_with_namespace: 'root/my-first-app',
      name_with_namespace: 'root / My First App!',
      default_branch: 'main',
      visibility: 'private',
      web_url: 'http://box.test/root/my-first-app',
      http_url_to_repo: 'http://box.test/root/my-first-app.git',
      namespace: { path: 'root', kind: 'user', full_path: 'root' },
      created_at: new Date(box.core.clock.now()).toISOString(),
      build_timeout: 3600,
      shared_runners_enabled: true,
    })
    expect(box.core.repositories.files.has(made.body.id)).toBe(true)
  })

  it('makes a project where it is told to, with the settings that are given', async () => {
    const first = await box.admin('POST', '/projects', { json: { path: 'shop/backend/api', visibility: 'public' } })
    expect(first.body).toMatchObject({
      path_with_namespace: 'shop/backend/api',
      visibility: 'public',
      namespace: { kind: 'group', name: 'backend' },
    })
    const second = await box.admin('POST', '/projects', {
      json: {
        name: 'web',
        namespace_id: first.body.namespace.id,
        default_branch: 'trunk',
        description: 'd',
        ci_config_path: 'ci.yml',
      },
    })
    expect(second.body).toMatchObject({
      path_with_namespace: 'shop/backend/web',
      default_branch: 'trunk',
      description: 'd',
      ci_config_path: 'ci.yml',
    })
  })

  it('finds a project by its number and by its path, whatever its case', async () => {
    const { id } = (await box.admin('POST', '/projects', { json: { path: 'find/me' } })).body
    for (const given of [String(id), 'find%2Fme', 'FIND%2fMe']) {
      expect((await box.admin('GET', `/projects/${given}`)).body.id).toBe(id)
    }
    for (const given of ['find%2Fnot', 'find', '0', '-1', '1e3', '0x1', '99999', '99999999999999999999', '..%2f..']) {
      const answer = await box.admin('GET', `/projects/${given}`)
      expect([given, answer.status, answer.body]).toEqual([given, 404, { message: '404 Project Not Found' }])
    }
    const nul = await box.admin('GET', `/projects/${id}%00`)
    expect([nul.status, nul.body]).toEqual([404, { message: '404 Not Found' }])
    const odd = await box.admin('GET', '/projects/%ff')
    expect([odd.status, odd.body]).toEqual([400, { message: '400 Bad request - the address is not valid' }])
  })

  it('refuses paths that cannot be, or are taken', async () => {
    await box.admin('POST', '/projects', { json: { path: 'taken/one' } })
    for (const [json, status, body] of [
      [{}, 400, { error: 'name, path are missing, at least one parameter must be provided' }],
      [{ path: 'taken/one' }, 400, { message: { path: ['has already been taken'] } }],
      [{ path: 'TAKEN/One' }, 400, { message: { path: ['has already been taken'] } }],
      [{ path: 'x.git' }, 400, { message: { path: [pathRules] } }],
      [{ path: '../up' }, 400, { message: { path: [pathRules] } }],
      [{ path: 'a', namespace_id: 99999 }, 404, { message: '404 Namespace Not Found' }],
      [{ path: 'a', visibility: 'secret' }, 400, { error: 'visibility does not have a valid value' }],
      [{ path: ['a'] }, 400, { error: 'path is invalid' }],
    ] as const) {
      const before = await box.rows()
      const answer = await box.admin('POST', '/projects', { json })
      expect([json, answer.status, answer.body]).toEqual([json, status, body])
      expect(await box.rows()).toBe(before)
    }
  })

  it('refuses names that stand for other things, anywhere in a path, whatever their case', async () => {
    const taken = (path: string) => ({ message: { path: [`${path} is a reserved name`] } })
    for (const [path, part] of [
      ['api/v4', 'api'],
      ['API/v4', 'API'],
      ['oauth/app', 'oauth'],
      ['metrics/app', 'metrics'],
      ['fine/tree/app', 'tree'],
      ['fine/raw', 'raw'],
      ['wikis', 'wikis'],
    ] as const) {
      const { status, body } = await box.admin('POST', '/projects', { json: { path } })
      expect([path, status, body]).toEqual([path, 400, taken(part)])
    }
    for (const path of ['-', '-/app', 'fine/-', '.well-known/app']) {
      expect([path, (await box.admin('POST', '/projects', { json: { path } })).status]).toEqual([path, 400])
    }
    expect((await box.admin('POST', '/groups', { json: { name: 'x', path: 'users' } })).body).toEqual(taken('users'))
    const { body: group } = await box.admin('POST', '/groups', { json: { name: 'x', path: `fine-${engine}` } })
    expect((await box.admin('PUT', `/groups/${group.id}`, { json: { path: 'Admin' } })).body).toEqual(taken('Admin'))
    const user = { username: 'help', name: 'x', email: 'x@example.com' }
    expect((await box.admin('POST', '/users', { json: user })).body).toEqual({
      message: { username: ['is a reserved name'] },
    })
    const own = await box.send('POST', '/api/signalbox/v1/projects', {
      headers: { 'PRIVATE-TOKEN': adminToken },
      json: { path: 'api/v4' },
    })
    expect(own.status).toBe(400)
    for (const fine of ['fine/api', 'apis/app', 'fine/users']) {
      expect([fine, (await box.admin('POST', '/projects', { json: { path: fine } })).status]).toEqual([fine, 201])
    }
  })

  it('changes the default branch to one that is there, and takes no setting that it does not have', async () => {
    const project = await box.core.project({}, `settings/app-${engine}`)
    const set = (json: object) => box.admin('PUT', `/projects/${project.id}`, { json })
    const none = await set({ default_branch: 'missing' })
    expect([none.status, none.body.message]).toEqual([
      400,
      { default_branch: ['is no branch of the repository: missing'] },
    ])
    expect((await set({ default_branch: 'dev' })).body.default_branch).toBe('dev')
    const unknown = await set({ merge_method: 'ff', description: 'x' })
    expect([unknown.status, unknown.body]).toEqual([400, { error: 'merge_method is not a setting of projects here' }])
    const same = await set({ path: project.path, description: 'x' })
    expect([same.status, same.body.description, same.body.path]).toEqual([200, 'x', project.path])
  })

  it('mirrors a repository, and shows its address without credentials', async () => {
    const import_url = 'https://me:s%40cret@git.example.com/acme/app.git'
    const made = await box.admin('POST', '/projects', { json: { path: 'mirrors/one', import_url, mirror: true } })
    expect([made.status, made.body.mirror, made.body.import_url]).toEqual([
      201,
      true,
      'https://git.example.com/acme/app.git',
    ])
    const pull = `/projects/${made.body.id}/mirror/pull`
    expect((await box.admin('POST', pull)).body).toMatchObject({ update_status: 'finished', last_error: null })
    expect((await box.admin('GET', pull)).text).not.toMatch(/s@cret|s%40cret/)
    for (const [json, status, body] of [
      [{ import_url }, 400, { error: 'mirror must be true with import_url: repositories are mirrored' }],
      [{ mirror: true }, 400, { error: 'import_url is missing' }],
      [{ mirror: true, import_url: 'ssh://git@h/a' }, 400, { message: { import_url: ['must be an https URL'] } }],
      [{ mirror: false, build_timeout: 1 }, 400, { message: { build_timeout: [expect.any(String)] } }],
    ] as const) {
      const { answer, tables } = await box.changes(() => box.admin('PUT', `/projects/${made.body.id}`, { json }))
      expect([answer.status, answer.body, tables]).toEqual([status, body, []])
    }
    const ended = await box.admin('PUT', `/projects/${made.body.id}`, { json: { mirror: false } })
    expect([ended.status, ended.body.mirror, ended.body.import_url]).toEqual([200, false, null])
    expect((await box.admin('POST', pull)).status).toBe(400)
    expect((await box.admin('GET', pull)).status).toBe(404)
  })

  it('lists projects, newest first, and searches them', async () => {
    await using fresh = await startShimBox(engine)
    for (const path of ['one/a', 'one/b', 'two/a_b', 'two/axb']) await fresh.core.project({}, path)
    const paths = async (query: string) =>
      (await fresh.admin('GET', `/projects${query}`)).body.map(
        (one: { path_with_namespace: string }) => one.path_with_namespace,
      )
    expect(await paths('')).toEqual(['two/axb', 'two/a_b', 'one/b', 'one/a'])
    expect(await paths('?search=ONE/')).toEqual(['one/b', 'one/a'])
    expect(await paths('?search=a_b')).toEqual(['two/a_b'])
    expect(await paths('?per_page=1&page=2')).toEqual(['two/a_b'])
  })

  it('knows tokens wherever GitLab’s clients put them', async () => {
    const ok = [
      { headers: { 'PRIVATE-TOKEN': adminToken } },
      { headers: { 'private-token': ` ${adminToken} ` } },
      { headers: { Authorization: `Bearer ${adminToken}` } },
      { query: `?private_token=${adminToken}` },
      { query: `?access_token=${adminToken}` },
    ]
    for (const { headers = {}, query = '' } of ok) {
      const answer = await box.send('GET', `/user${query}`, { headers: headers as Record<string, string> })
      expect([answer.status, answer.body.username]).toEqual([200, 'root'])
    }
    expect((await box.send('POST', '/projects', { json: { private_token: adminToken, name: 'in body' } })).status).toBe(
      201,
    )
    for (const headers of [
      {},
      { 'PRIVATE-TOKEN': 'glpat-nope' },
      { Authorization: 'Bearer x' },
      { Authorization: `Basic ${adminToken}` },
    ]) {
      const answer = await box.send('GET', '/user', { headers: headers as Record<string, string> })
      expect([answer.status, answer.body]).toEqual([401, { message: '401 Unauthorized' }])
    }
    expect(JSON.stringify(box.core.logged)).not.toContain(adminToken)
  })

  it('says who asks and what the server is', async () => {
    expect((await box.admin('GET', '/user')).body).toMatchObject({
      id: 1,
      username: 'root',
      is_admin: true,
      state: 'active',
    })
    expect((await box.admin('GET', '/version')).body).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      revision: expect.any(String),
    })
    expect((await box.admin('GET', '/metadata')).body).toMatchObject({
      kas: { enabled: false, externalUrl: null, version: null },
      enterprise: false,
    })
    expect((await box.send('GET', '/version')).status).toBe(401)
  })

  it('lets each scope do what it is for', async () => {
    const project = await box.core.project({}, `scopes/${engine}`)
    const tries: [string[], string, string, number][] = [
      [['read_api'], 'GET', '/user', 200],
      [['read_api'], 'GET', `/projects/${project.id}`, 200],
      [['read_api'], 'POST', `/projects/${project.id}/pipeline`, 403],
      [['read_api'], 'POST', '/user/runners', 403],
      [['create_runner'], 'POST', '/user/runners', 400],
      [['create_runner'], 'GET', '/user', 403],
      [['manage_runner'], 'GET', '/runners', 200],
      [['manage_runner'], 'POST', '/user/runners', 403],
      [['read_repository'], 'GET', '/user', 403],
    ]
    for (const [scopes, method, path, status] of tries) {
      const answer = await box.send(method, path, { headers: { 'PRIVATE-TOKEN': await adminTokenWith(box, scopes) } })
      expect([scopes, method, path, answer.status]).toEqual([scopes, method, path, status])
      if (status === 403)
        expect(answer.body).toMatchObject({ error: 'insufficient_scope', scope: expect.stringContaining('api') })
    }
  })

  it('hides a private project from everybody else, and lets them read an internal or public one', async () => {
    const eve = await person(box, `eve-${engine}`)
    const make = async (visibility: string) =>
      (await box.admin('POST', '/projects', { json: { path: `seen-${engine}/${visibility}`, visibility } })).body
        .id as number
    const ids = { private: await make('private'), internal: await make('internal'), public: await make('public') }
    const status = async (id: number, headers: Record<string, string>, method = 'GET', path = '') =>
      (await box.send(method, `/projects/${id}${path}`, { headers })).status
    expect(await status(ids.private, eve.headers)).toBe(404)
    expect(await status(ids.internal, eve.headers)).toBe(200)
    expect(await status(ids.public, {})).toBe(200)
    expect(await status(ids.internal, {})).toBe(404)
    expect(await status(ids.private, {})).toBe(404)
    expect(await status(ids.public, {}, 'POST', '/pipeline')).toBe(401)
    expect(await status(ids.public, eve.headers, 'POST', '/pipeline?ref=main')).toBe(403)
    expect(await status(ids.private, eve.headers, 'POST', '/pipeline?ref=main')).toBe(404)
    expect(await status(ids.public, {}, 'GET', '/jobs')).toBe(401)
    const seen = (await box.send('GET', '/projects?per_page=100', { headers: eve.headers })).body.map(
      (one: { id: number }) => one.id,
    )
    expect(seen).toEqual(expect.arrayContaining([ids.internal, ids.public]))
    expect(seen).not.toContain(ids.private)
    expect((await box.send('POST', '/projects', { headers: eve.headers, json: { path: 'other/place' } })).status).toBe(
      403,
    )
    const own = await box.send('POST', '/projects', { headers: eve.headers, json: { name: 'own' } })
    expect([own.status, own.body.path_with_namespace]).toEqual([201, `eve-${engine}/own`])
    expect(await status(own.body.id, eve.headers, 'GET', '/pipelines')).toBe(200)
  })

  it('answers addresses and methods that it does not know', async () => {
    const unknown = await box.admin('GET', '/nothing/here')
    expect([unknown.status, unknown.body]).toEqual([404, { error: '404 Not Found' }])
    const method = await box.admin('PATCH', '/projects')
    expect([method.status, method.body, method.headers.get('allow')]).toEqual([
      405,
      { error: '405 Not Allowed' },
      'GET, POST',
    ])
    expect((await box.admin('TRACE', '/user').catch(() => ({ status: 405 }))).status).toBe(405)
  })

  it('answers only to its own names when it has been told them', async () => {
    await using named = await startShimBox(engine, { secureHosts: ['ci.example.com'] })
    const ask = (host: string) =>
      named.raw(
        `GET /api/v4/version HTTP/1.1\r\nHost: ${host}\r\nPRIVATE-TOKEN: ${adminToken}\r\nConnection: close\r\n\r\n`,
      )
    expect(await ask('ci.example.com:8080')).toMatch(/^HTTP\/1\.1 200/)
    expect(await ask('evil.example')).toMatch(/^HTTP\/1\.1 421/)
  })

  it('echoes a fit request id and makes one otherwise', async () => {
    const id = async (sent?: string) =>
      (await box.send('GET', '/user', { headers: sent === undefined ? {} : { 'X-Request-Id': sent } })).headers.get(
        'x-request-id',
      )
    expect(await id('01HX-abc.DEF_9')).toBe('01HX-abc.DEF_9')
    expect(await id('not fit')).toMatch(/^[0-9a-f]{32}$/)
    expect(await id()).not.toBe(await id())
  })
})
