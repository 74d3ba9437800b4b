/** Coordinators on one PostgreSQL, each a process of its own: who joins, who is drained, and who does what all need done once. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { postgresPlace } from '../support/postgres-place.js'
import { Coordinator, signalbox } from '../support/processes.js'

let place: Awaited<ReturnType<typeof postgresPlace>>
let db: pg.Client
let a: Coordinator
let b: Coordinator

beforeAll(async () => {
  place = await postgresPlace()
  db = new pg.Client({ connectionString: place.url })
  await db.connect()
  const flags = ['--database', place.url]
  a = await Coordinator.start({ flags })
  b = await Coordinator.start({ flags, sharing: a.dataDir })
})

afterAll(async () => {
  await a[Symbol.asyncDispose]()
  await b[Symbol.asyncDispose]()
  await db.end()
  await place.remove()
})

interface Node {
  id: string
  url: string
  state: string
  self: boolean
}

const nodesAt = (box: Coordinator) => box.api<Node[]>('GET', '/api/signalbox/v1/nodes')
const own = async (box: Coordinator) => (await nodesAt(box)).find(({ self }) => self)!
const holder = async () =>
  (await db.query<{ holder: string | null; fence: string }>("select * from duties where name = 'tasks'")).rows[0]!

/** Starts a third node on a folder with these files, and gives how it ended. */
async function third(files: Record<string, string | { of: Coordinator }>) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-third-'))
  mkdirSync(path.join(folder, 'data'), { mode: 0o700 })
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, 'data', name)
    if (typeof content === 'string') writeFileSync(file, content, { mode: 0o600 })
    else copyFileSync(path.join(content.of.dataDir, name), file)
  }
  try {
    const ports = ['--http', '127.0.0.1:0', '--grpc', '127.0.0.1:0']
    return await signalbox(['serve', '--data-dir', path.join(folder, 'data'), '--database', place.url, ...ports])
  } finally {
    rmSync(folder, { recursive: true })
  }
}

it('lets nobody join who has another key, none, no administrator’s token, or a version too far', async () => {
  const key = { of: a }
  const other = `${Buffer.alloc(32, 7).toString('base64')}\n`
  const [wrong, lost, unknown] = await Promise.all([
    third({ key: other, 'admin-token': { of: a } }),
    third({ 'admin-token': { of: a } }),
    third({ key }),
  ])
  expect(wrong).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/data\/key: is not the key file that the store was sealed with/),
  })
  expect(lost).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/data\/key: is not there, and what is stored was sealed with it/),
  })
  expect(unknown).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/data\/admin-token: is not there, and other nodes share this store/),
  })
  const future = Date.now() + 3_600_000
  await db.query("insert into nodes values ('later', $1, $1, 'http://later:8080', '0.3.0', null)", [future])
  expect(await third({ key, 'admin-token': { of: a } })).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/this is signalbox 0\.1\.0, and node later at http:\/\/later:8080 is 0\.3\.0: nodes/),
  })
  await db.query("delete from nodes where id = 'later'")
  // The token of those who are there still holds.
  expect(await nodesAt(a)).toHaveLength(2)
})

it('lists nodes, drains one until it is told to go on, and forgets those that are gone', async () => {
  const name = (await own(b)).id
  const list = await a.signalbox('node', 'list')
  expect(list.stdout).toMatch(new RegExp(`${name}\tactive\t0\\.1\\.0\t${b.url}`))
  const ready = async () => (await fetch(`${b.url}/-/ready`)).status
  expect(await ready()).toBe(200)
  await b.runner('websocket')
  const streams = async () => Number(/signalbox_streams\{carrier="websocket"\} (\d+)/.exec(await metrics(b))?.[1])
  await eventually(async () => expect(await streams()).toBe(1))

  // Asked at one node of the other.
  expect(await a.signalbox('node', 'drain', name)).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`${name}: draining\n`),
  })
  await eventually(async () => expect(await ready()).toBe(503))
  expect(await (await fetch(`${b.url}/-/ready`)).text()).toBe('this node is drained\n')
  await eventually(async () => expect(await streams()).toBe(0))
  expect((await fetch(`${a.url}/-/ready`)).status).toBe(200)
  expect(await a.signalbox('node', 'resume', name)).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`${name}: active\n`),
  })
  await eventually(async () => expect(await ready()).toBe(200))
  await eventually(async () => expect(await streams()).toBe(1))

  expect(await a.signalbox('node', 'remove', name)).toMatchObject({ code: 5 })
  expect(await a.signalbox('node', 'drain', 'nobody')).toMatchObject({ code: 3 })
  await db.query("insert into nodes values ('gone', 1, 1, 'http://gone:8080', '0.1.0', null)")
  expect((await nodesAt(b)).find(({ id }) => id === 'gone')).toMatchObject({ state: 'gone' })
  expect(await a.signalbox('node', 'remove', 'gone')).toMatchObject({ code: 0 })
  expect(await a.signalbox('node', 'remove', 'gone')).toMatchObject({ code: 3 })
})

const metrics = async (box: Coordinator) => (await fetch(`${box.url}/metrics`)).text()

it('has one node do the background tasks, and another when that one is killed or stops', async () => {
  const names = new Map([
    [(await own(a)).id, a],
    [(await own(b)).id, b],
  ])
  const first = await holder()
  const onDuty = names.get(first.holder!)!
  const other = onDuty === a ? b : a
  // Paused where it is not run.
  await other.signalbox('task', 'pause', 'archive_traces')
  await onDuty.kill()
  const [otherName] = [...names].find(([, box]) => box === other)!
  await eventually(async () => expect((await holder()).holder).toBe(otherName))
  expect(Number((await holder()).fence)).toBeGreaterThan(Number(first.fence))
  const runs = async () =>
    (await db.query<{ at: string }>("select last_run_at as at from background_tasks where name = 'run_schedules'"))
      .rows[0]!.at
  const before = await runs()
  await other.signalbox('task', 'run', 'run_schedules')
  expect(await runs()).not.toBe(before)
  await onDuty.up()
  expect((await nodesAt(onDuty)).filter(({ state }) => state === 'active')).toHaveLength(2)
  // Who stops lets it go at once.
  await other.stop()
  await eventually(async () => expect((await holder()).holder).toBe(first.holder))
  expect((await nodesAt(onDuty)).find(({ self }) => !self)).toMatchObject({ state: 'gone' })
  await other.up()
})
