/** The exporters that post and write events, on a real coordinator's events, a real socket and a real file. */
import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import jsonl from '../../src/plugins/exporters/jsonl/index.js'
import webhook, { signed } from '../../src/plugins/exporters/webhook/index.js'
import type { ExportedEvent } from '../../src/plugins/sdk.js'
import { recordedEvents, startPlugin } from '../../src/plugins/testing/index.js'
import { eventually } from '../support/eventually.js'
import { Coordinator } from '../support/processes.js'

const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-exporters-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const secret = 'a secret of many characters'
const secretFile = path.join(folder, 'secret')
writeFileSync(secretFile, `${secret}\n`)

interface Post {
  headers: IncomingHttpHeaders
  body: string
}

async function receiver() {
  const posts: Post[] = []
  const answers: number[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += String(chunk)
    })
    request.on('end', () => {
      posts.push({ headers: request.headers, body })
      response.writeHead(answers.shift() ?? 200, { location: '/elsewhere' }).end('much to read')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
  return { posts, answers, url, [Symbol.asyncDispose]: async () => void server.close() }
}

const eventsOf = ({ body }: Post) => (JSON.parse(body) as { events: ExportedEvent[] }).events

it('posts events signed, and again until they are taken, in their order', async () => {
  await using hook = await receiver()
  const settings = path.join(folder, 'webhook.toml')
  writeFileSync(
    settings,
    `[[plugins]]\nuse = "exporter.webhook"\n[plugins.config]\nurl = "${hook.url}"\nsecret_file = "${secretFile}"\nheaders = { "x-from" = "ci" }\n`,
  )
  hook.answers.push(503, 302)
  await using box = await Coordinator.start({ flags: ['--config', settings] })
  await box.runner('websocket')
  await eventually(() => expect(hook.posts.length).toBeGreaterThanOrEqual(3))
  const [first, second, third] = hook.posts as [Post, Post, Post]
  expect([second.body, third.body]).toEqual([first.body, first.body])
  expect(second.headers['webhook-id']).toBe(first.headers['webhook-id'])
  await box.kill()
  await box.up()
  await box.api('POST', '/api/v4/projects', { path: 'later' })
  await eventually(() => expect(hook.posts.flatMap(eventsOf).map(({ kind }) => kind)).toContain('project.created'))
  const taken = [third, ...hook.posts.slice(3)]
  const ids = taken.flatMap(eventsOf).map(({ id }) => id)
  expect([...new Set(ids)]).toEqual([...new Set(ids)].sort((a, b) => a - b))
  for (const { headers, body } of hook.posts) {
    const at = Number(headers['webhook-timestamp']) * 1000
    expect(headers).toMatchObject({ 'x-from': 'ci', ...signed(secret, String(headers['webhook-id']), at, body) })
  }
})

it('posts the kinds that are wanted, and nothing where there is none of them', async () => {
  await using hook = await receiver()
  const config = { url: hook.url, secret_file: secretFile, kinds: ['job.finished'] }
  const started = await startPlugin(webhook, { config })
  await started.export(recordedEvents().filter(({ kind }) => kind === 'job.changed'))
  expect(hook.posts).toEqual([])
  await started.export(recordedEvents())
  expect(new Set(hook.posts.flatMap(eventsOf).map(({ kind }) => kind))).toEqual(new Set(['job.finished']))
  await started.close()
})

it('refuses what it could not do, and says what is wrong', async () => {
  const url = 'http://127.0.0.1:9/hook'
  const start = (config: Record<string, string>) => startPlugin(webhook, { config })
  await expect(start({ url })).rejects.toThrow('"secret_file"')
  await expect(start({ url: 'mailto:me', secret_file: secretFile })).rejects.toThrow('"url": must be an address')
  writeFileSync(path.join(folder, 'short'), 'short')
  await expect(start({ url, secret_file: path.join(folder, 'short') })).rejects.toThrow('at least 16 characters')
  await expect(start({ url, secret_file: path.join(folder, 'none') })).rejects.toThrow('ENOENT')
  await expect(startPlugin(jsonl, { config: { file: 'here.jsonl' } })).rejects.toThrow('the whole path of a file')
  await expect(startPlugin(jsonl, { config: { file: path.join(folder, 'no/such/folder') } })).rejects.toThrow('ENOENT')
})

it('appends a line for each event, to a file that may be rotated away, behind a line that was cut off', async () => {
  const file = path.join(folder, 'events.jsonl')
  const started = await startPlugin(jsonl, { config: { file } })
  const events = recordedEvents()
  await started.export(events.slice(0, 3))
  expect(statSync(file).mode & 0o777).toBe(0o600)
  appendFileSync(file, '{"id":')
  await started.export(events.slice(3, 4))
  const lines = readFileSync(file, 'utf8').split('\n')
  expect(lines).toEqual([
    ...events.slice(0, 3).map((one) => JSON.stringify(one)),
    '{"id":',
    JSON.stringify(events[3]),
    '',
  ])
  renameSync(file, `${file}.1`)
  await started.export(events.slice(4))
  expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(events.length - 4)
  await started.close()
})

it('is not there for who has not configured it', async () => {
  for (const start of [() => startPlugin(webhook), () => startPlugin(jsonl)]) {
    const started = await start()
    await expect(started.export(recordedEvents())).rejects.toThrow()
    await started.close()
  }
})
