/**
 * Listeners of what comes from outside: of sockets, streams, servers, threads and children. What one of them throws would
 * reach the process (docs/decisions/0019), so it is `guarded`, or cannot throw, which is said here. That no promise is left
 * without a word on its failure is held by the linter (`.oxlintrc.json`: `no-void`, `no-floating-promises`).
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { guarded } from '../src/core/guarded.js'

/** Events that bring what somebody else has said. */
const events =
  'checkContinue|checkExpectation|clientError|connect|connection|data|entry|field|file|frame|message|request|response|stream|unexpected-response|upgrade'

/** Listeners that are not guarded, as they stand, and why they let nothing out. */
const allowed: Record<string, string> = {
  "core/ci-config/worker.ts message '(message: ToWorker) => {'":
    'in a thread, whose end the other side takes for a crash',
  "core/ci-config/language-thread.ts message '(message: FromWorker) => this.#receive(worker, message))'":
    'settles a promise, or asks the caller, whose answer is caught',
  "core/config/remote-files.ts response 'resolve)'": 'settles a promise',
  "core/store/sqlite-checkpoint.ts message '(message) => {'": 'in a thread; tells what fails',
  "core/store/sqlite-checkpoint.ts message '(message: { walBytes?: number; error?: string }) => {'": 'sets a timer',
  "git/backend.ts data '(chunk: Buffer) => {'": 'keeps the end of a text',
  "git/http.ts data '(chunk: Buffer) => {'": 'counts bytes',
  "http/body.ts data 'onData).on('": 'counts or keeps bytes, and settles',
  "http/multipart.ts data 'onData)'": 'counts bytes, and settles',
  "http/multipart.ts field '(name, value) => pairs.push([name, value]))'": 'keeps two texts',
  "http/multipart.ts field '(name, value, info) => {'": 'keeps two texts, or settles',
  "http/multipart.ts file '(name, file, info) => {'": 'joins two streams, or settles',
  "plugins/executors/docker/engine.ts response '(answer) => {'": 'settles a promise',
  "plugins/executors/docker/engine.ts upgrade '(_answer, socket, head) => {'": 'settles a promise',
  "plugins/executors/docker/services.ts connect '() => end(true))'": 'ends a socket, and settles',
  "plugins/plugin-child.ts message '(message: ToPlugin) => inside.receive(message))'":
    'in a process of its own, whose end the other side takes for a crash',
  "restore.ts entry '(entry: yauzl.Entry) => {'": 'a command for one person; begins a promise that is caught',
  "runner/artifacts/extract.ts entry 'resolve)'": 'settles a promise',
  "runner/artifacts/pack.ts data '(chunk: string | Buffer) => {'": 'hands on bytes',
  "runner/http.ts response '() => source.destroy())'": 'ends a stream',
  "runner/http.ts response '(response) => {'": 'settles a promise',
  "runner/transports/grpc.ts data '(message: ServerMessage) => this.handlers.message(message))'": 'guarded by the link',
  "runner/transports/websocket.ts message '(data: Buffer) => this.#receive(data))'": 'caught there, and by the link',
  "runner/transports/websocket.ts unexpected-response '(request, response) => {'": 'ends both',
  "http/exchange.ts response '(response) => {'": 'settles a promise',
}

/** Lives of their own: the command and its check of runners, which serve one person, and the simulator. */
const elsewhere = /^(cli|conformance|gen|sim)\//

/** `file event 'listener'` of each, as it stands in the text. */
function listenersOf(file: string, text: string): string[] {
  const found = text.matchAll(
    new RegExp(`\\.(?:on|once|addListener|prependListener)\\(\\s*'(${events})',\\s*([^\\n']*)`, 'g'),
  )
  return [...found].flatMap(([, event, listener]) =>
    listener!.startsWith('guarded(') ? [] : [`${file} ${event} '${listener!.trimEnd()}'`],
  )
}

it('are guarded, or are listed here with a reason', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const found = files
    .map((file) => file.split(path.sep).join('/'))
    .filter((file) => !elsewhere.test(file))
    .flatMap((file) => listenersOf(file, readFileSync(path.join('src', file), 'utf8')))
  expect([...new Set(found)].toSorted()).toEqual(Object.keys(allowed).toSorted())
})

it.each([
  ["socket.on('data', (chunk) => parse(chunk))", ["x.ts data '(chunk) => parse(chunk))'"]],
  ["server\n  .once(\n    'upgrade',\n    take,\n  )", ["x.ts upgrade 'take,'"]],
  ["ws.on('message', guarded(take, fail))", []],
  ["ws.on(\n  'message',\n  guarded(take, fail),\n)", []],
  ["socket.on('close', () => undefined)", []],
])('are found in %j', (text, found) => {
  expect(listenersOf('x.ts', text)).toEqual(found)
})

it('give what they throw to who ends what they listened to', () => {
  const told: unknown[] = []
  const wrong = new Error('thrown')
  const listener = guarded(
    (text: string) => {
      if (text === 'bad') throw wrong
      told.push(text)
    },
    (error, text) => told.push([error, text]),
  )
  for (const text of ['good', 'bad', 'good again']) listener(text)
  expect(told).toEqual(['good', [wrong, 'bad'], 'good again'])
})
