/** `signalbox runner check`: our own runner and the minimal ones pass it, and runners with one planted fault each do not. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { checkRunner, ruleNames, toJUnit } from '../../src/conformance/check-runner.js'
import { isLong, some } from '../support/long.js'
import { program, signalbox } from '../support/processes.js'

const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-conformance-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const example = (name: string) => fileURLToPath(new URL(`../../examples/minimal-runner/${name}`, import.meta.url))
const has = (...command: [string, ...string[]]) => spawnSync(command[0], command.slice(1)).status === 0
const [hasPython, hasGo] = [has('python3', '--version'), has('go', 'version')]
const ours = [process.execPath, program, 'runner', 'start']
const patient = { withinMs: 30_000 }
const wrongOf = (judged: Awaited<ReturnType<typeof checkRunner>>) => judged.filter(({ wrong }) => wrong !== undefined)

describe('the conformance kit', () => {
  it.each(some(1, ['websocket', 'grpc'] as const))(
    'passes the reference runner over %s',
    { timeout: 240_000 },
    async (carrier) => {
      const judged = await checkRunner(ours, { carriers: [carrier], ...patient })
      expect(wrongOf(judged)).toEqual([])
      expect(judged.map(({ rule }) => rule)).toEqual(ruleNames)
    },
  )

  it.skipIf(!hasPython)('passes the minimal runner in Python', { timeout: 240_000 }, async () => {
    const judged = await checkRunner(['python3', example('runner.py')], { carriers: ['websocket'], ...patient })
    expect(wrongOf(judged)).toEqual([])
  })

  it.skipIf(!hasGo).each(some(0, ['Go']))('passes the minimal runner in %s', { timeout: 300_000 }, async () => {
    const binary = path.join(folder, 'runner-go')
    const built = spawnSync('go', ['build', '-o', binary, '.'], { cwd: example('go'), encoding: 'utf8' })
    expect(built.status, built.stderr).toBe(0)
    const judged = await checkRunner([binary], { carriers: ['websocket'], ...patient })
    expect(wrongOf(judged)).toEqual([])
  })

  it('is a command with a report and exit codes', { timeout: 60_000 }, async () => {
    const junit = path.join(folder, 'report.xml')
    const check = (...args: string[]) => signalbox(['runner', 'check', ...args])
    const good = await check('--rule', 'hello', '--junit', junit, '--', ...ours)
    expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining('hello: Hello is the first') })
    expect(readFileSync(junit, 'utf8')).toContain('tests="1" failures="0"')
    const bad = await check(
      '--rule',
      'hello',
      '--junit',
      junit,
      '--within',
      '5',
      '--',
      'sh',
      '-c',
      'echo "<no>"; exit 3',
    )
    expect(bad).toMatchObject({ code: 1, stdout: expect.stringContaining('the command ended with 3 before Hello') })
    expect(readFileSync(junit, 'utf8')).toContain('&lt;no&gt;')
    expect(await check('--rule', 'none', '--', 'true')).toMatchObject({ code: 2 })
    expect(await check('--rule', 'hello', '--', path.join(folder, 'absent'))).toMatchObject({ code: 1 })
  })

  it('finds no rule kept by a command that never comes', async () => {
    const judged = await checkRunner(['sh', '-c', 'exit 3'], { carriers: ['websocket'], withinMs: 5000 })
    expect(wrongOf(judged).map(({ rule }) => rule)).toEqual(ruleNames)
  })

  it('writes what XML can hold', () => {
    const judged = { carrier: 'grpc', rule: 'ping', asks: 'a < b', wrong: 'no "\u0001"', ms: 12 } as const
    expect(toJUnit([judged])).toContain('name="ping: a &lt; b" time="0.012"><failure message="no &quot;?&quot;">')
  })
})

/** What is wrong with the runner in Python, by a change of its text; the rule that must find it, and in which words. */
const planted: [name: string, from: string, to: string, rule: string, says: RegExp][] = [
  ['counts envelopes by two', 'self.seq += 1', 'self.seq += 2', 'hello', /seq 2 after 0/],
  ['wants more than it can hold', '"credits": 1 if', '"credits": 5 if', 'credits', /asks for 5 jobs/],
  ['adds the log up wrongly', 'zlib.crc32(job.log)', 'zlib.crc32(job.log) ^ 1', 'job', /CRC-32/],
  ['answers with another fence', 'int(offer["fence"])}', 'int(offer["fence"]) + 1}', 'job', /did not come within/],
  [
    'loses the exit code',
    '"exitCode": code if code >= 0 else 128 - code',
    '"exitCode": 1',
    'failure',
    /exit code is 1, not 3/,
  ],
  [
    'starts before the lease is held',
    'self.send("accept", ref)',
    'self.send("accept", ref); self.verdict({**ref, "verdict": "VERDICT_HELD"})',
    'held-first',
    /came before the lease was held/,
  ],
  [
    'goes on without a lease',
    '            self.job.kill()\n            self.job = None',
    '            pass',
    'fenced',
    /ABANDON came/,
  ],
  ['looks at no window', 'min(CHUNK, job.window)', 'CHUNK', 'window', /the window 4096/],
  [
    'fills no gap',
    'int(body.get("durableOffset", 0)), body',
    'len(self.job.log), body',
    'log-gap',
    /did not come within|missing/,
  ],
  ['draws its boot anew', '"bootId": self.boot', '"bootId": uuid.uuid4().hex', 'resume', /boot_id has changed/],
  ['lists no leases', '"running": running', '"running": []', 'resume', /does not list the job/],
  [
    'reports once only',
    'False, False\n',
    'False, self.job.reported\n',
    'report-kept',
    /StateUpdate again did not come/,
  ],
  [
    'does not stop what is canceled',
    'self.job.kill(signal.SIGTERM)\n        threading.Timer(body.get("graceMs", 0) / 1000, self.job.kill).start()',
    'pass',
    'cancel',
    /StateUpdate of job 1 did not come/,
  ],
  [
    'renews nothing',
    'if self.job and self.job.started:\n                    self',
    'if False:\n                    self',
    'renew',
    /LeaseRenew three times/,
  ],
  [
    'answers Ping with any nonce',
    'self.send("pong", body)',
    'self.send("pong", {"nonce": 1})',
    'ping',
    /Pong with the nonce/,
  ],
  ['comes back too soon', 'body.get("reconnectAfterMs", 0) / 1000', '0', 'rotation', /and 1500 were asked for/],
  ['comes back where it is refused', '"GOODBYE_CODE_UNAUTHORIZED", ', '', 'unauthorized', /it came back/],
  ['drops its job at SIGTERM', 'runner.leave)', 'lambda *_: os._exit(1))', 'stop', /ended with 1 before/],
]

/** What is found only when something has not come for seconds: one of these in the short form, all with `test:long`. */
const slow = new Set([
  'answers with another fence',
  'fills no gap',
  'reports once only',
  'renews nothing',
  'answers Ping with any nonce',
])
const chosen = planted.filter(([name]) => isLong || !slow.has(name))

describe.skipIf(!hasPython)('a planted fault', () => {
  it.concurrent.each(chosen)('is found: a runner that %s', { timeout: 120_000 }, async (name, from, to, rule, says) => {
    const text = readFileSync(example('runner.py'), 'utf8')
    expect(text.split(from).length).toBeGreaterThan(1)
    const file = path.join(folder, `${name.replaceAll(' ', '-')}.py`)
    writeFileSync(file, text.replace(from, to))
    const [judged] = await checkRunner(['python3', file], { carriers: ['websocket'], withinMs: 6000, only: [rule] })
    expect(judged?.wrong).toMatch(says)
  })
})
