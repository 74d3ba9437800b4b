import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { configOf } from '../../src/plugins/definition.js'
import shell from '../../src/plugins/executors/shell/index.js'
import type { RunnerOptions } from '../../src/runner/options.js'
import { Spool } from '../../src/runner/spool.js'
import { Harness } from './support/harness.js'

const wrong: [string, Partial<RunnerOptions>][] = [
  ['a gRPC address for WebSocket', { url: 'grpc://localhost:1', transport: 'websocket' }],
  ['an HTTP address for gRPC', { url: 'http://localhost:1', transport: 'grpc' }],
  ['a WebSocket address for polling', { url: 'ws://localhost:1', transport: 'poll' }],
  ['no address', { url: 'localhost' }],
  ['no token', { token: '' }],
  ['a token with a line break', { token: 'glrt-a\nb' }],
  ['no place for a job', { concurrency: 0 }],
  ['an executor that runs elsewhere', { executor: { name: 'far', executor: { capabilities: () => [] } } }],
  ['an empty system id', { systemId: '' }],
]
for (const [what, options] of wrong) {
  test(`does not start with ${what}`, async () => {
    await using harness = await Harness.start('websocket')
    await expect(harness.runner(options)).rejects.toMatchObject({ name: 'RunnerError', code: 'usage' })
  })
}

test('shares its work folder with nobody, and leaves it free', async () => {
  await using harness = await Harness.start('websocket')
  const first = await harness.runner()
  await expect(harness.runner()).rejects.toMatchObject({ code: 'usage' })
  await first.handle.close()
  const second = await harness.runner()
  expect(second.handle.systemId).toBe(first.handle.systemId)
  expect(second.handle.systemId).toMatch(/^r_[0-9A-Za-z]{12}$/)
  expect(fs.readFileSync(path.join(harness.workDir, '.runner_system_id'), 'utf8')).toBe(first.handle.systemId)
})

test('takes over the work folder of a process that is gone', async () => {
  await using harness = await Harness.start('websocket')
  fs.mkdirSync(harness.workDir)
  fs.writeFileSync(path.join(harness.workDir, '.runner.lock'), `${2 ** 22 - 1} 1`)
  const runner = await harness.runner()
  await runner.event('connected')
})

test.runIf(process.platform === 'linux')('takes over the work folder of a process that nobody has buried', async () => {
  await using harness = await Harness.start('websocket')
  // The shell's child ends while what the shell has become never asks for it.
  const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 600'], { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const [line] = await once(parent.stdout, 'data')
    const pid = Number(String(line))
    const stat = () => fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    while (!stat().includes(') Z ')) await new Promise((resolve) => setImmediate(resolve))
    const start = stat()
      .slice(stat().lastIndexOf(')') + 2)
      .split(' ')[19]
    fs.mkdirSync(harness.workDir)
    fs.writeFileSync(path.join(harness.workDir, '.runner.lock'), `${pid} ${start}`)
    const runner = await harness.runner()
    await runner.event('connected')
  } finally {
    parent.kill('SIGKILL')
  }
})

test('leaves alone what another runner has spooled in the folder', async () => {
  await using harness = await Harness.start('websocket')
  const root = path.join(harness.workDir, 'spool')
  const lease = { jobId: 5, fence: 1, jobName: 'other', runner: 'somebody else' }
  Spool.create(root, lease, Buffer.from('{}')).close()
  fs.mkdirSync(path.join(root, '6-1'))
  const runner = await harness.runner()
  await runner.event('connected')
  const peer = await harness.box.peer()
  expect(peer.hello?.running).toEqual([])
  expect(fs.existsSync(path.join(root, '5-1/lease.json'))).toBe(true)
})

test('keeps a spool over a restart, to the byte', async () => {
  await using harness = await Harness.start('websocket')
  const lease = { jobId: 7, fence: 2, jobName: 'a job', runner: 'r' }
  const spool = Spool.create(harness.root, lease, Buffer.from('{"id":7}'))
  spool.append(Buffer.from('hello '))
  spool.append(Buffer.from([0xff, 0x00]))
  spool.ack(3)
  spool.saveReport({ state: 'failed', failureReason: 'script_failure', message: 'exit code 1', exitCode: 1 })
  spool.close()
  const again = Spool.restore(path.join(harness.root, '7-2'))
  expect(again).toMatchObject({ length: 8, crc: spool.crc, lease: { ...lease, session: spool.lease.session } })
  expect(again?.report).toEqual({
    state: 'failed',
    failureReason: 'script_failure',
    message: 'exit code 1',
    exitCode: 1,
  })
  expect(again?.read(4, 100)).toEqual(Buffer.from([0x6f, 0x20, 0xff, 0x00]))
  expect(again?.readPayload().toString()).toBe('{"id":7}')
  expect(fs.statSync(path.join(harness.root, '7-2/payload.json')).mode & 0o777).toBe(0o600)
  again?.remove()
  expect(fs.existsSync(path.join(harness.root, '7-2'))).toBe(false)
})

test('refuses a configuration of the shell executor that it does not know', () => {
  expect(configOf(shell, {})).toEqual({})
  expect(configOf(shell, { shell: 'sh' })).toEqual({ shell: 'sh' })
  expect(() => configOf(shell, { shell: 'fish' })).toThrow('must be "bash" or "sh"')
  expect(() => configOf(shell, { shel: 'sh' })).toThrow('unknown key')
})

test('loads neither gRPC nor archives for a WebSocket job', async () => {
  // What is imported at the top of a file is loaded with it; what is imported inside, only when it is needed.
  const seen = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    for (const [, name = ''] of fs
      .readFileSync(file, 'utf8')
      .matchAll(/^(?:import (?!type)[^;']*?|\} )from '([^']+)'/gm)) {
      if (name.startsWith('.')) visit(path.join(path.dirname(file), name.replace(/js$/, 'ts')))
      else if (!name.startsWith('node:')) packages.add(name)
    }
  }
  visit('src/runner/start-runner.ts')
  visit('src/runner/transports/websocket.ts')
  visit('src/plugins/executors/shell/index.ts')
  expect([...packages].filter((name) => ['yazl', 'yauzl', 'express', 'pino'].includes(name))).toEqual([])
  const grpc = [...seen].filter((file) => /from ["']@grpc\/grpc-js/.test(fs.readFileSync(file, 'utf8')))
  expect(grpc.filter((file) => !file.includes('/gen/'))).toEqual([])
  expect([...seen].filter((file) => /artifacts|poll[.]ts|grpc[.]ts/.test(file))).toEqual([
    'src/runner/job/stage-artifacts.ts',
  ])
})
