/** Plugins that go wrong once, in a way that is named, and are well from then on: what happened stands in files of their folder. */

export const kinds = ['classifier', 'exporter', 'admission', 'executor'] as const
export type Kind = (typeof kinds)[number]

/** How each fault is told of; undefined: by the count of dropped figures alone. */
export const blames: Record<string, RegExp | undefined> = {
  'throws-at-load': /load: .*at load/,
  'throws-in-setup': /setup: .*in setup/,
  'wrong-version': /apiVersion is 2/,
  'throws-in-call': /in a call/,
  hangs: /no answer within/,
  loops: /no answer within|has not answered/,
  'leaks-heap': /memory|SIGABRT|SIGTRAP/,
  'leaks-buffers': /MiB of memory, and may use/,
  'floods-metrics': undefined,
  'floods-messages': /nobody asked for|unanswered/,
  exits: /ended its process with code 3/,
  crashes: /crashed with SIGSEGV/,
  'answers-nonsense': /: /,
  'rejects-unheard': /unhandledRejection/,
}

export const faults = Object.keys(blames)

const attach: Record<Kind, (name: string) => string> = {
  classifier: (name) => `host.classify('${name}', () => act(host, undefined))`,
  exporter: (name) => `host.export('${name}', { onEvents: () => act(host, undefined) })`,
  admission: (name) => `host.admit('${name}', () => act(host, { verdict: 'admit' }))`,
  executor: (name) => `host.executor('${name}', { capabilities: () => act(host, ['variables']) })`,
}

/** Whether a hook of this kind can give an answer that is none: exporters give nothing. */
export function applies(fault: string, kind: Kind): boolean {
  return fault !== 'answers-nonsense' || kind !== 'exporter'
}

/** The runner's half instead: the first script goes wrong. Whoever does it otherwise runs it with bash. */
const attachRunner = (name: string) => `
    host.executor('${name}', {
      capabilities: () => ['variables'],
      runner: {
        async prepare() { return { facts: {}, shell: 'bash' } },
        run: ({ script, env, cwd }) => act(host, { exitCode: spawnSync('bash', ['-c', script], { env: { PATH: '/usr/bin:/bin', ...env }, cwd }).status, signal: null }),
        async cancel() {},
        async cleanUp() {},
      },
    })`

/** The module of a plugin with this fault. `been` and `well` are made in its folder, the first with the time. */
export function faultySource(fault: string, kind: Kind, half: 'coordinator' | 'runner' = 'coordinator'): string {
  return `
import fs from 'node:fs'
import { spawnSync } from 'node:child_process'
import { definePlugin } from 'signalbox/plugin'
const fault = '${fault}'
const first = () => {
  if (fs.existsSync('been')) return false
  fs.writeFileSync('been', String(Date.now()))
  return true
}
const pause = () => new Promise((go) => setTimeout(go, 5))
const never = () => new Promise(() => {})
const kept = []
const ways = {
  'throws-in-call'() { throw new Error('in a call') },
  hangs: never,
  loops() { for (;;); },
  async 'leaks-heap'() { for (;;) { kept.push(Array.from({ length: 2e5 }, (_, at) => [at])); await pause() } },
  async 'leaks-buffers'() { for (;;) { kept.push(Buffer.alloc(2e7, 1)); await pause() } },
  async 'floods-metrics'(host, right) {
    for (let at = 0; at < 1e5; at++) host.metrics.count('flood', { at: String(at) })
    return right
  },
  'floods-messages'() {
    for (let at = 0; at < 1000; at++) process._send({ answer: at + 1e6, json: '1' }, undefined, {}, () => {})
    return never()
  },
  exits() { process.exit(3) },
  crashes() { process.kill(process.pid, 'SIGSEGV'); return never() },
  'answers-nonsense': () => ({ nonsense: [1, { two: 3 }] }),
  'rejects-unheard'() { Promise.reject(new Error('lost')); return never() },
}
async function act(host, right) {
  if (ways[fault] && first()) return ways[fault](host, right)
  if (fs.existsSync('been')) fs.writeFileSync('well', String(Date.now()))
  return right
}
if (fault === 'throws-at-load' && first()) throw new Error('at load')
export default definePlugin({
  id: '${kind}.${fault}',
  apiVersion: fault === 'wrong-version' && first() ? 2 : 1,
  setup(host) {
    if (fault === 'throws-in-setup' && first()) throw new Error('in setup')
    ${half === 'runner' ? attachRunner(fault) : attach[kind](fault)}
  },
})`
}
