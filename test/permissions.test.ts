/** Every route with every kind of token: who is let in is what `permissions.md` says, and nobody sees what is others'. */
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SignalboxError } from '../src/core/errors.js'
import { openSession } from '../src/core/steps/open-session.js'
import { insertGroup } from '../src/core/store/projects.js'
import type { Engine } from '../src/core/store/write.js'
import { tokenPrefixes } from '../src/core/tokens/token.js'
import { oneJob, onePhaseInfo, type ShimBox, startShimBox } from './shim/support/box.js'
import { adminTokenWith, person } from './shim/support/people.js'
import { takeJob } from './shim/support/running-job.js'
import { adminToken } from './support/core.js'
import { onBothEngines } from './support/stores.js'

const visibilities = ['private', 'internal', 'public'] as const
type Visibility = (typeof visibilities)[number]
type Headers = Record<string, string>

/** Names of what must stay in the project, and values that must stay with its maintainers. */
const hidden = 'hidden-name'
const secret = 'hunter2-secret'
/** The same, and registration tokens. */
const secrets = new RegExp(`${secret}|${tokenPrefixes.registration}`)

const cells = (line: string) =>
  line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim())
const lines = readFileSync('test/permissions.md', 'utf8').split('\n')
const tables = lines.filter((line) => line.startsWith('|') && !line.startsWith('| ---')).map(cells)
const [head] = tables
const matrix = new Map(
  tables.filter((row) => row.length > 3).map(([rule, visibility, ...rest]) => [`${rule} ${visibility}`, rest]),
)
const rules = new Map(
  tables.flatMap(([route, rule, besides, ...more]) =>
    more.length === 0 && route!.startsWith('`') ? [[route!.slice(1, -1), { rule: rule!, besides: besides! }]] : [],
  ),
)
const columns = head!.slice(2)

interface Scene {
  ids: Record<string, string | number>
  /** By the column's name. */
  tokens: Map<string, Headers>
}

let box: ShimBox
const scenes = new Map<Visibility, Scene>()
/** Tokens that are refused everywhere. */
const refused = new Map<string, Headers>()
/** The token of a job of the private project that is over. */
let ended: Headers = {}
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })

async function setUp(engine: Engine): Promise<void> {
  scenes.clear()
  refused.clear()
  box = await startShimBox(engine, {
    rates: { wrongCredentials: 'off', registrations: 'off', polls: 'off' },
    holdMs: 0,
  })
  const empty = () => Promise.reject(new SignalboxError('not_found', 'nothing there'))
  Object.defineProperty(box.core.repositories, 'browser', { value: new Proxy({}, { get: () => empty }) })
  const away = await box.core.project(oneJob, 'away/app')
  const foreign = await botToken(away.id, 40)
  const stranger = await person(box, 'stranger')
  for (const visibility of visibilities) {
    scenes.set(visibility, await scene(visibility, foreign, stranger.headers))
  }
  const blocked = await person(box, 'blocked')
  await box.admin('POST', `/users/${blocked.user.id}/block`)
  const [revoked, expired] = [await person(box, 'revoked'), await person(box, 'expired')]
  await box.send('DELETE', '/personal_access_tokens/self', { headers: revoked.headers })
  await box.core.core.store.write((tx) =>
    tx.db.updateTable('access_tokens').set({ expires_at: 1 }).where('user_id', '=', expired.user.id).execute(),
  )
  const { ids, tokens } = scenes.get('private')!
  await box.send('POST', `/projects/${ids.id}/pipeline`, { headers: tokens.get('owner')!, json: { ref: 'main' } })
  const job = await takeJob(box, Number(ids.id), String(ids.runnerToken), { info: onePhaseInfo })
  await job.put({ state: 'failed', failure_reason: 'script_failure' })
  ended = { 'JOB-TOKEN': job.token }
  const registration = await box.admin('POST', '/runners/reset_registration_token')
  for (const [name, token] of Object.entries({
    wrong: 'glpat-wrong-wrong-wrong-wrong-00000',
    revoked: revoked.token,
    expired: expired.token,
    blocked: blocked.token,
    runner: String(scenes.get('private')!.ids.runnerToken),
    trigger: String(scenes.get('private')!.ids.triggerToken),
    registration: registration.body.token,
  })) {
    refused.set(name, { 'PRIVATE-TOKEN': token })
  }
}

async function botToken(projectId: number, access_level: number): Promise<Headers> {
  const json = { name: `level-${access_level}`, scopes: ['api'], access_level }
  const { body } = await box.admin('POST', `/projects/${projectId}/access_tokens`, { json })
  return { 'PRIVATE-TOKEN': body.token }
}

/** A project of its owner with one of everything. */
async function scene(visibility: Visibility, foreign: Headers, stranger: Headers): Promise<Scene> {
  const name = `${hidden}-${visibility}`
  const owner = await person(box, `owner-${visibility}`)
  await box.core.core.store.write((tx) =>
    insertGroup(tx, { path: name, fullPath: name, parentId: null, kind: 'user', ownerId: owner.user.id }),
  )
  const project = await box.core.project({ [`${name}-job`]: { script: 'x' } }, `${name}/${name}`)
  const id = project.id
  const as = async (method: string, path: string, json?: object) => {
    const answer = await box.send(method, path, { headers: owner.headers, ...(json ? { json } : {}) })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
    return answer.body
  }
  await as('PUT', `/projects/${id}`, { visibility })
  const runner = await as('POST', '/user/runners', { runner_type: 'project_type', project_id: id })
  const at = `/projects/${id}`
  const pipeline = await as('POST', `${at}/pipeline`, { ref: 'main', variables: [{ key: 'GIVEN', value: secret }] })
  const job = await takeJob(box, id, runner.token, { info: onePhaseInfo })
  const trigger = await as('POST', `${at}/triggers`, { description: name })
  const hook = await as('POST', `${at}/hooks`, { url: 'https://example.com/hook', token: secret })
  const environment = await as('POST', `${at}/environments`, { name: `${name}-env` })
  const schedule = await as('POST', `${at}/pipeline_schedules`, { description: name, ref: 'main', cron: '0 1 * * *' })
  await as('POST', `${at}/pipeline_schedules/${schedule.id}/variables`, { key: 'KEY', value: secret })
  await as('POST', `${at}/variables`, { key: 'KEY', value: secret })
  const request = await as('POST', `${at}/merge_requests`, {
    source_branch: 'topic',
    target_branch: 'main',
    title: name,
  })
  const token = (await box.admin('POST', `${at}/access_tokens`, { json: { name, scopes: ['api'] } })).body
  const group = (await box.admin('POST', '/groups', { json: { name, path: `group-${name}`, visibility } })).body
  const member = async (level: string, path: string, access_level: number) => {
    const one = await person(box, `${level.replace(' ', '-')}-${visibility}`)
    await box.admin('POST', `${path}/members`, { json: { user_id: one.user.id, access_level } })
    return [level, one.headers] as const
  }
  const tokens = new Map<string, Headers>([
    await member('guest member', at, 10),
    await member('reporter member', at, 20),
    await member('developer member', at, 30),
    await member('maintainer member', at, 40),
    await member('owner member', at, 50),
    await member('group member', `/groups/${group.id}`, 40),
    await member('group owner', `/groups/${group.id}`, 50),
    ['none', {}],
    ['stranger', stranger],
    ['guest', await botToken(id, 10)],
    ['reporter', await botToken(id, 20)],
    ['developer', await botToken(id, 30)],
    ['maintainer', await botToken(id, 40)],
    ['owner token', await botToken(id, 50)],
    ['owner', owner.headers],
    ['administrator', { 'PRIVATE-TOKEN': adminToken }],
    ['read_api', { 'PRIVATE-TOKEN': await adminTokenWith(box, ['read_api']) }],
    ['read_repository', { 'PRIVATE-TOKEN': await adminTokenWith(box, ['read_repository']) }],
    ['foreign', foreign],
    ['job', { 'JOB-TOKEN': job.token }],
  ])
  const ids = {
    ...{ id, pipeline_id: pipeline.id, job_id: job.id, key: 'KEY', user_id: owner.user.id, runner_id: runner.id },
    ...{ trigger_id: trigger.id, hook_id: hook.id, environment_id: environment.id, schedule_id: schedule.id },
    ...{ token_id: token.id, sha: pipeline.sha, name: 'main', iid: request.iid, target_branch: 'main', target_id: 1 },
    ...{ deployment_id: 1, ref: 'main', ref_name: 'main', artifact_path: 'x', file_path: 'x', namespace: 'x' },
    ...{ forge: 'github', subscription_id: 1, tag_name: 'v1', link_id: 1, suffix_path: 'x', direct_asset_path: 'x' },
    ...{ group: group.id, runnerToken: runner.token, triggerToken: trigger.token },
  }
  return { ids, tokens }
}

/** `missing`: ids below the project are of what is not there, so that nothing happens to what is. */
function pathOf(template: string, { ids }: Scene, missing: boolean): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    if (name === 'id') {
      if (/v1\/pipelines/.test(template)) return String(ids.pipeline_id)
      if (/\/jobs\/\{id\}/.test(template)) return String(ids.job_id)
      if (/\/runners\/\{id\}|cost-factors/.test(template)) return String(ids.runner_id)
      if (/\/(groups|namespaces)\/\{id\}/.test(template)) return String(ids.group)
      return String(ids.id)
    }
    return encodeURIComponent(String(missing ? 999_999 : (ids[name] ?? 'none')))
  })
}

function ask(method: string, path: string, headers: Headers): Promise<{ status: number; text: string; total: string }> {
  return new Promise((resolve, reject) => {
    const req = http.request({ port: box.port, host: '127.0.0.1', method, path, agent, headers }, (res) => {
      let text = ''
      const stream = /event-stream/.test(res.headers['content-type'] ?? '')
      const done = () => resolve({ status: res.statusCode!, text, total: String(res.headers['x-total'] ?? '') })
      res.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
        // It goes on as long as the pipeline.
        if (stream) res.destroy()
      })
      res.on('close', done)
    })
    req.on('error', reject)
    req.end()
  })
}

/** `+` for one that is let in, else the status. */
function outcome({ status, text }: { status: number; text: string }): string {
  const gone = /404 (Project|Group) Not Found|no such project|"no (pipeline|job) \d+"/.test(text)
  return status === 401 || status === 403 || (status === 404 && gone) ? String(status) : '+'
}

/** Routes that would end the scene, or go on, for who is let in. */
const fatal = new Set([
  'DELETE /api/v4/groups/{id}',
  'POST /api/v4/groups/{id}/transfer',
  'DELETE /api/v4/projects/{id}',
  'DELETE /api/v4/projects/{id}/access_tokens/{token_id}',
])

it('has a row for every route, and no other', () => {
  const { paths } = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as { paths: Record<string, object> }
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect([...rules.keys()].toSorted()).toEqual(routes.toSorted())
})

/** On the open projects only those whom it makes a difference for. */
const outsiders = new Set(['none', 'stranger', 'guest', 'foreign', 'job'])
const seesSecrets = new Set(['group owner', 'maintainer', 'owner token', 'owner', 'administrator', 'read_api'])

interface Question {
  route: string
  scene: Scene
  who: string
  headers: Headers
  /** `+`, a status, or `no`: any refusal. */
  expected: string
}

/** What is asked of routes that belong to a project. */
function* ofProjects(): Generator<Question> {
  for (const visibility of visibilities) {
    const scene = scenes.get(visibility)!
    for (const [route, { rule, besides }] of rules) {
      const row = matrix.get(`${rule} ${visibility}`)
      if (!row) continue
      const nobody = route.includes('/api/signalbox/') || besides.includes('signed in') ? '401' : row[0]!
      for (const [i, column] of columns.entries()) {
        if (visibility !== 'private' && !outsiders.has(column)) continue
        const expected = column === 'none' ? nobody : row[i]!
        for (const who of [column, `${column} member`].filter((one) => scene.tokens.has(one))) {
          yield { route, scene, who: `${who} (${visibility})`, headers: scene.tokens.get(who)!, expected }
        }
      }
      const takesJobs = besides.includes('job')
      const job = { route, scene, headers: scene.tokens.get('job')!, who: `job (${visibility})` }
      yield { ...job, expected: takesJobs ? '+' : nobody }
      if (visibility !== 'private') continue
      yield { ...job, headers: ended, who: 'ended job', expected: takesJobs ? '403' : nobody }
    }
  }
}

/** What is asked of the others: only those who are refused, and who look around. */
function* ofOthers(): Generator<Question> {
  const scene = scenes.get('private')!
  const notAdmin = columns.filter((column) => !['none', 'administrator', 'read_api'].includes(column))
  for (const [route, { rule }] of rules) {
    const ask = (who: string, headers: Headers, expected: string) => ({ route, scene, who, headers, expected })
    if (rule === 'anybody') yield ask('none', {}, '+')
    if (rule === 'user' || rule === 'administrator') yield ask('none', {}, '401')
    if (rule === 'administrator') {
      for (const column of notAdmin) yield ask(column, scene.tokens.get(column)!, '403')
      if (!route.startsWith('GET')) yield ask('read_api', scene.tokens.get('read_api')!, '403')
      else yield ask('administrator', scene.tokens.get('administrator')!, '+')
    }
    if (rule === 'user' && !/personal_access_tokens\/self|GET .*\/job$/.test(route)) {
      yield ask('read_repository', scene.tokens.get('read_repository')!, '403')
      if (route.startsWith('GET'))
        for (const who of ['stranger', 'foreign']) yield ask(who, scene.tokens.get(who)!, '?')
      else yield ask('read_api', scene.tokens.get('read_api')!, '403')
    }
    if (rule === 'group owner') {
      yield ask('none', {}, '401')
      for (const column of notAdmin) {
        yield ask(column, scene.tokens.get(column)!, column === 'read_repository' ? '403' : '404')
      }
      // Of the group, but not its owner.
      yield ask('group member', scene.tokens.get('group member')!, '403')
      yield ask('group owner', scene.tokens.get('group owner')!, '+')
    }
    if (/^((job|runner) )?itself|proof/.test(rule)) {
      for (const column of [...columns]) yield ask(column, scene.tokens.get(column)!, 'no')
    }
    if (rule === 'job itself') {
      yield ask('ended job', ended, 'no')
      yield ask('another job', scenes.get('public')!.tokens.get('job')!, 'no')
    }
    if (rule !== 'anybody' && !/itself|proof/.test(rule)) {
      for (const [who, headers] of refused) yield ask(who, headers, '401')
    }
  }
}

/** Routes that are served only by a whole server. */
const elsewhere = new Set(['GET /api/signalbox/v1/backup'])

/** What is wrong about the answer; nothing as a rule. */
async function faultsOf({ route, scene, who, headers, expected }: Question): Promise<string[]> {
  if (elsewhere.has(route) || (expected === '+' && fatal.has(route))) return []
  const [method, template] = route.split(' ') as [string, string]
  const answer = await ask(method, pathOf(template, scene, method !== 'GET' && expected === '+'), headers)
  const got = outcome(answer)
  // Our own API may have had enough of wrong tokens.
  const enough = answer.status === 429 && refused.has(who)
  const fits =
    enough || expected === '?' || (expected === 'no' ? answer.status >= 400 && answer.status < 500 : got === expected)
  const column = who.replace(/( member)? \(.*/, '')
  return [
    ...(fits ? [] : [`${route} as ${who}: ${answer.status} (${got}), not ${expected}: ${answer.text.slice(0, 100)}`]),
    ...(answer.status >= 500 ? [`${route} as ${who}: ${answer.status}`] : []),
    ...(seesSecrets.has(column) || !secrets.test(answer.text) ? [] : [`${route} shows secrets to ${who}`]),
    ...((expected === '+' && scene.tokens.get(column) && got === '+') || !answer.text.includes(`${hidden}-private`)
      ? []
      : [`${route} shows a private project to ${who}`]),
  ]
}

async function faultsOfAll(questions: readonly Question[]): Promise<string[]> {
  const left = [...questions]
  const faults: string[] = []
  const work = async () => {
    for (let next = left.pop(); next; next = left.pop()) faults.push(...(await faultsOf(next)))
  }
  await Promise.all(Array.from({ length: 16 }, work))
  return faults
}

/** On PostgreSQL a third of the private project's questions and of the others; with `test:long` all. */
/** A test that is none in the short form: what it asks does not depend on the database. */
const inFull = (engine: Engine, name: string, body: () => Promise<void>) => {
  if (!isShort(engine)) it(name, body)
}

const isShort = (engine: Engine) => engine === 'postgres' && process.env.SIGNALBOX_TEST_LONG === undefined

function asked(engine: Engine): Question[] {
  const all = [...ofProjects(), ...ofOthers()]
  return isShort(engine) ? all.filter(({ who }, i) => i % 3 === 0 && !/\((internal|public)\)/.test(who)) : all
}

afterAll(() => agent.destroy())

onBothEngines((engine) => {
  beforeAll(() => setUp(engine))
  afterAll(() => box[Symbol.asyncDispose]())

  it('refuses whom the table says, and changes nothing for them', async () => {
    const questions = asked(engine).filter(({ expected }) => expected !== '+' && expected !== '?')
    const before = await box.rows()
    expect(questions.length).toBeGreaterThan(isShort(engine) ? 300 : 3000)
    expect(await faultsOfAll(questions)).toEqual([])
    expect(await box.rows()).toBe(before)
  })

  it('lets in whom the table says, and shows them nothing that is others’', async () => {
    const questions = asked(engine).filter(({ expected }) => expected === '+' || expected === '?')
    const isGet = ({ route }: Question) => route.startsWith('GET')
    expect(await faultsOfAll(questions.filter(isGet))).toEqual([])
    expect(await faultsOfAll(questions.filter((one) => !isGet(one)))).toEqual([])
  })

  it('lists for each the projects that are theirs to see, and counts no others', async () => {
    const { tokens } = scenes.get('private')!
    const table: [who: string, visible: string[]][] = [
      ['stranger', ['internal', 'public']],
      ['guest', ['private', 'public']],
      ['owner token', ['private', 'public']],
      ['owner', ['private', 'internal', 'public']],
      ['foreign', ['public', 'away']],
      ['administrator', ['private', 'internal', 'public', 'away']],
    ]
    for (const [who, visible] of table) {
      const { text, total } = await ask('GET', '/api/v4/projects', tokens.get(who)!)
      const names = JSON.parse(text).map((one: { path: string; path_with_namespace: string }) =>
        one.path_with_namespace === 'away/app' ? 'away' : one.path.replace(`${hidden}-`, ''),
      )
      expect([who, names.toSorted(), total]).toEqual([who, visible.toSorted(), String(visible.length)])
    }
  })

  inFull(engine, 'takes a token in every form alike', async () => {
    const scene = scenes.get('private')!
    const path = `/api/v4/projects/${scene.ids.id}`
    for (const [who, headers] of [...scene.tokens, ...refused]) {
      const token = headers['PRIVATE-TOKEN']
      if (token === undefined) continue
      const wanted = outcome(await ask('GET', path, headers))
      for (const [form, query, given] of [
        ['private_token', `?private_token=${token}`, {}],
        ['access_token', `?access_token=${token}`, {}],
        ['bearer', '', { Authorization: `Bearer ${token}` }],
      ] as const) {
        expect([who, form, outcome(await ask('GET', path + query, given))]).toEqual([who, form, wanted])
      }
      const own = `/api/signalbox/v1/jobs/${scene.ids.job_id}?private_token=${token}`
      expect([who, (await ask('GET', own, {})).status]).toEqual([who, 400])
    }
  })

  inFull(engine, 'lets a session do what a token of its user may, and no more', async () => {
    const scene = scenes.get('private')!
    for (const who of ['developer member', 'group owner']) {
      const headers = scene.tokens.get(who)!
      const { id } = JSON.parse((await ask('GET', '/api/v4/user', headers)).text)
      const { token } = await box.core.core.store.write((tx) =>
        openSession(box.core.core, tx, { userId: id, way: 'password', browser: { address: '', agent: '' } }),
      )
      const cookie = { Cookie: `signalbox_session=${token}` }
      const here = { ...cookie, 'Sec-Fetch-Site': 'same-origin' }
      const elsewhere = { ...cookie, 'Sec-Fetch-Site': 'cross-site' }
      for (const [route, { rule }] of rules) {
        if (!/^(see|do) |^(group owner|administrator)$/.test(rule) || fatal.has(route)) continue
        const [method, template] = route.split(' ') as [string, string]
        const path = pathOf(template, scene, method !== 'GET')
        const [wanted, got] = [outcome(await ask(method, path, headers)), outcome(await ask(method, path, here))]
        expect([who, route, got]).toEqual([who, route, wanted])
        if (method !== 'GET') expect([route, (await ask(method, path, elsewhere)).status]).toEqual([route, 403])
      }
    }
  })
})
