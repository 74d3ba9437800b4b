/** PostgreSQL is away when a coordinator starts, and goes away under one that works. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { postgresPlace } from '../support/postgres-place.js'
import { PostgresProxy } from '../support/postgres-proxy.js'
import { Coordinator, signalbox } from '../support/processes.js'

let place: Awaited<ReturnType<typeof postgresPlace>>
let folder: string
beforeAll(async () => {
  place = await postgresPlace()
  folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-away-'))
})
afterAll(async () => {
  await place.remove()
  rmSync(folder, { recursive: true })
})

/** Settings with which a start waits for so long. */
function waiting(time: string): string[] {
  const file = path.join(folder, `${time}.toml`)
  writeFileSync(file, `database_wait = "${time}"\n`)
  return ['--config', file]
}

const serve = (url: string, ...flags: string[]) => {
  const dataDir = path.join(folder, `data-${Math.random()}`)
  const ports = ['--http', '127.0.0.1:0', '--grpc', '127.0.0.1:0']
  return signalbox(['serve', '--data-dir', dataDir, ...ports, '--database', url, ...flags])
}

it('ends with a code of its own when the database does not come, and at once when the settings are wrong', async () => {
  await using proxy = await PostgresProxy.start(place.url)
  await proxy.refuse()
  const away = await serve(proxy.url, ...waiting('1s'))
  expect([away.code, away.stderr]).toEqual([69, expect.stringContaining('the database cannot be reached')])
  expect(away.stderr).toContain('the database is away: waiting for it')
  const wrong = await serve(`${place.url}-nowhere`)
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('does not exist')])
})

it('waits at its start, tells who asks to come again, and outlives every loss of the database', async () => {
  await using proxy = await PostgresProxy.start(place.url)
  await proxy.refuse()
  const port = await freePort()
  const starting = Coordinator.start({
    flags: ['--database', proxy.url, '--http', `127.0.0.1:${port}`, ...waiting('60s')],
  })
  const early = await firstAnswer(`http://127.0.0.1:${port}/api/v4/version`)
  expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1'])
  await proxy.listen()
  await using box = await starting
  await box.api('POST', '/api/v4/projects', { name: 'app' })

  const headers = { 'PRIVATE-TOKEN': box.token, 'Content-Type': 'application/json' }
  const get = (route: string) => fetch(box.url + route, { headers })
  const routes = readable()
  await proxy.refuse()
  const others: string[] = []
  for (const route of routes) {
    const answer = await get(route)
    await answer.arrayBuffer()
    if (answer.status !== 503) others.push(`${answer.status} ${route}`)
    else expect([route, answer.headers.get('retry-after')]).toEqual([route, expect.any(String)])
  }
  expect(others).toEqual(needNoRow)
  const poll = { token: 'glrt-t1_0123456789abcdefghij' }
  for (const [method, route, body] of [
    ['POST', '/api/v4/jobs/request', poll],
    ['POST', '/api/v4/runners/verify', poll],
    ['POST', '/api/v4/projects', { name: 'other' }],
    ['POST', '/api/v4/projects/1/pipeline', { ref: 'main' }],
  ] as const) {
    const answer = await fetch(box.url + route, { method, headers, body: JSON.stringify(body) })
    expect([route, answer.status, answer.headers.get('retry-after')]).toEqual([route, 503, expect.any(String)])
  }
  await proxy.listen()
  expect((await get('/api/v4/projects/1')).status).toBe(200)

  const cuts = process.env.SIGNALBOX_TEST_LONG ? 2000 : 60
  for (let i = 0; i < cuts; i++) {
    const asked = Promise.all(Array.from({ length: 6 }, () => get('/-/ready').then((answer) => answer.status)))
    for (let turn = 0; turn < i % 7; turn++) await new Promise((resolve) => setImmediate(resolve))
    proxy.cut()
    for (const status of await asked) expect([200, 503]).toContain(status)
  }
  expect((await get('/api/v4/projects/1')).status).toBe(200)
  expect(await box.stop()).toBe(0)
}, 180_000)

/** What is answered without a look into the store. */
const needNoRow = [
  '403 /api/v4/jobs/1/artifacts',
  '200 /api/v4/openapi.json',
  '400 /api/v4/runners/router/discovery',
  '403 /api/signalbox/v1/jobs/1/caches',
  '400 /api/signalbox/v1/runner',
  '200 /api/signalbox/v1/sign-in',
]

/** Every route that reads, with small numbers for what it is about. */
function readable(): string[] {
  const { paths } = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as { paths: Record<string, object> }
  const all = Object.entries(paths).flatMap(([route, methods]) => ('get' in methods ? [route] : []))
  return [
    ...all.map((route) => route.replace(/\{[^}]*\}/g, '1')),
    '/-/ready',
    '/root/app.git/info/refs?service=git-upload-pack',
  ]
}

async function firstAnswer(url: string): Promise<Response> {
  for (;;) {
    try {
      return await fetch(url)
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as net.AddressInfo
      probe.close(() => resolve(port))
    })
  })
}
