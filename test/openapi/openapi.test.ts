/** The OpenAPI document says what the server does: it is made of the handlers' sources, and compared with a running one. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { oneJob, type ShimBox, startShimBox } from '../shim/support/box.js'
import { adminToken } from '../support/core.js'
import { expectKept } from '../support/kept-file.js'
import { openApiDocument } from './document.js'
import { faults, type Json } from './fits.js'
import { readRoutes, routesIn } from './routes.js'

const file = 'docs/openapi.json'
const planted = path.resolve('test/openapi/planted.ts')

let box: ShimBox
let document: Json
const ids: Record<string, string | number> = {}

beforeAll(async () => {
  document = openApiDocument(await readRoutes())
  box = await startShimBox('sqlite')
  const { project, pipeline } = await box.run(oneJob)
  const token = await box.runnerToken()
  const { body: job } = await box.poll(token)
  await box.send('PUT', `/jobs/${job.id}`, {
    json: { token: job.token, state: 'failed', failure_reason: 'script_failure' },
  })
  const made = (path: string, json: object) => box.admin('POST', `/projects/${project.id}${path}`, { json })
  const { body: trigger } = await made('/triggers', { description: 'nightly' })
  const { body: hook } = await made('/hooks', { url: 'https://example.com/hook' })
  const { body: environment } = await made('/environments', { name: 'review' })
  const { body: schedule } = await made('/pipeline_schedules', {
    description: 'nightly',
    ref: 'main',
    cron: '0 1 * * *',
  })
  const { body: accessToken } = await made('/access_tokens', { name: 'bot', scopes: ['api'] })
  await made('/variables', { key: 'KEY', value: 'value' })
  Object.assign(ids, {
    ...{ id: project.id, pipeline_id: pipeline.id, job_id: job.id, key: 'KEY', user_id: box.core.admin.id },
    ...{ trigger_id: trigger.id, hook_id: hook.id, environment_id: environment.id, schedule_id: schedule.id },
    ...{ token_id: accessToken.id, sha: pipeline.sha, name: 'main', iid: 1 },
  })
})
afterAll(() => box[Symbol.asyncDispose]())

it('is kept in docs/openapi.json', () => {
  expectKept(file, `${JSON.stringify(document, null, 2)}\n`)
})

it('is served to anybody', async () => {
  const answer = await box.send('GET', '/openapi.json')
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('application/json')
  expect(answer.text).toBe(brotliDecompressSync(readFileSync('dist/openapi.json.br')).toString())
})

/** Answered in front of the router; and one for which a whole server is needed. */
const elsewhere = ['/api/v4/jobs/request', '/api/v4/jobs/{id}/trace', '/api/signalbox/v1/backup']

it('has the methods that the server takes', async () => {
  const told: Record<string, string[]> = {}
  const taken: Record<string, string[]> = {}
  for (const [path, operations] of Object.entries(document.paths as Json)) {
    if (elsewhere.includes(path)) continue
    told[path] = Object.keys(operations as Json)
      .map((one) => one.toUpperCase())
      .sort()
    const { headers } = await box.send('OPTIONS', path.replace(/\{\w+\}/g, '1'))
    taken[path] = headers.get('allow')?.split(', ').sort() ?? []
  }
  expect(Object.keys(told).length).toBeGreaterThan(140)
  expect(taken).toEqual(told)
})

it('describes the answers that the server gives', async () => {
  const wrong: string[] = []
  const described = new Set<string>()
  for (const [template, operations] of Object.entries(document.paths as Json)) {
    const operation = (operations as Json).get
    if (!operation || template.endsWith('/events') || elsewhere.includes(template)) continue
    const path = template.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(idIn(template, name)))
    const { status, body } = await box.send('GET', path, { headers: { Authorization: `Bearer ${adminToken}` } })
    const answer = operation.responses[status] ?? operation.responses.default
    const { content } = answer.$ref ? document.components.responses[answer.$ref.split('/').at(-1)] : answer
    const schema = content && Object.values<Json>(content)[0].schema
    if (body === undefined || !schema) continue
    wrong.push(...faults(document, schema, body).map((fault) => `${path}: ${fault}`))
    if (status === 200) described.add(template)
  }
  expect(wrong).toEqual([])
  expect(described.size).toBeGreaterThan(50)
})

/** What stands for a part of a path. */
function idIn(template: string, name: string): string {
  if (name !== 'id') return String(ids[name] ?? 'none')
  if (/v1\/pipelines/.test(template)) return String(ids.pipeline_id)
  if (/v1\/jobs/.test(template)) return String(ids.job_id)
  if (/\/(runners|groups|namespaces)\//.test(template) && !/projects/.test(template)) return '1'
  return String(ids.id)
}

it('finds what handlers read and answer', () => {
  const [list, make] = routesIn(planted, 'plantedRoutes')
  expect(list).toMatchObject({ method: 'get', path: '/planted/get/:id', about: 'Lists what is planted.' })
  expect(Object.fromEntries(list!.params.byName)).toEqual({
    page: { kind: 'integer', required: false, min: 1, max: 1_000_000_000 },
    per_page: { kind: 'integer', required: false, min: 1 },
    sort: { kind: 'choice', required: false, values: ['asc', 'desc', 'none'] },
    since: { kind: 'integer', required: false, min: 0 },
    until: { kind: 'integer', required: false, min: 0 },
  })
  expect([...list!.answers.keys()]).toEqual([200])
  expect(Object.fromEntries(make!.params.byName)).toEqual({
    size: { kind: 'integer', required: true, max: 1024 },
    items: { kind: 'maps', required: false, inner: expect.objectContaining({ open: false }) },
    quiet: { kind: 'boolean', required: false },
  })
  expect(new Set(make!.answers.keys())).toEqual(new Set([201, 202]))
  expect(make!.errors).toEqual(new Set(['invalid', 'conflict']))
  expect(make!.tokens).toEqual(new Set(['runner']))
})

it('refuses a handler that it cannot follow', () => {
  expect(() => routesIn(planted, 'hiddenRoutes')).toThrow('/hidden: the name of a parameter cannot be read')
})

it('tells faults from what fits', () => {
  const { Job } = document.components.schemas
  expect(faults(document, Job, {})).toContain('$.id is missing')
  const listed = { type: 'array', items: { $ref: '#/components/schemas/User' } }
  const user = { id: 1, username: 'a', name: 'a', state: 'active', locked: false, avatar_url: null, web_url: 'a' }
  expect(faults(document, listed, [user])).toEqual([])
  expect(faults(document, listed, [{ ...user, id: 'one', more: 1 }])).toEqual([
    '$[0].id is no integer',
    '$[0].more is not described',
  ])
})
