/** The contract suite: every rule finds its breach, in a plugin's own process; one that keeps them all passes. */
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkPlugin } from '../../src/plugins/check/check-plugin.js'
import { PluginBench } from './support/plugins.js'

/** Each breach takes three processes: the suite has one of three. */
const long = process.env.SIGNALBOX_TEST_LONG === '1'
const childScript = path.resolve('dist/bundle/plugin-child.js')
const verdict = `{ reason: 'script_failure', class: 'script', retryable: false, explanation: 'x' }`
const script = `import { spawn } from 'node:child_process'
  const running = new Set()
  const runner = {
    prepare: async () => ({ facts: {}, shell: 'sh' }),
    run: ({ script, env, cwd }, output) => new Promise((resolve) => {
      const child = spawn('/bin/sh', ['-c', script], { env, cwd, detached: true })
      running.add(child)
      for (const stream of [child.stdout, child.stderr]) stream.on('data', output)
      child.on('close', (exitCode, signal) => resolve({ exitCode, signal }))
    }),
    cancel: async () => { for (const { pid } of running) try { process.kill(-pid, 'SIGKILL') } catch {} },
    cleanUp: async () => {},
  }`
const executes = (changes = '{}', capabilities = `() => ['variables']`) =>
  `setup(host) { host.executor('mine', { capabilities: ${capabilities}, runner: { ...runner, ...${changes} } }) }`

const exports = (onEvents: string) => `setup(host) { host.export('x', { ${onEvents} }) }`

/** Who breaks which rule: id, source, the rule, what is said, and what stands before. */
const breaches: [string, string, string, RegExp, string?][] = [
  ['classifier.throws', 'setup() {}', 'loads', /at load/, `throw new Error('at load')`],
  ['classifier.greedy', 'config: (given) => given, setup() {}', 'config-unknown-key', /zz-no-such-key was taken/],
  ['classifier.picky', `config() { throw new Error('no') }, setup() {}`, 'config', /: no$/],
  ['classifier.empty', 'setup() {}', 'setup', /no hook of kind classifier/],
  [
    'classifier.wrong',
    `setup(host) { host.classify('x', () => ({ class: 'bad luck' })) }`,
    'classifier-answers',
    /reason/,
  ],
  [
    'classifier.slow',
    `setup(host) { host.classify('x', ({ traceTail }) => { /^(\\s+)+$/.test(traceTail.slice(-40)); return ${verdict} }) }`,
    'classifier-odd-logs',
    /many spaces: (no answer within 2000 ms|its process)/,
  ],
  [
    'classifier.miscounts',
    `setup(host) { host.metrics.count('Bad Name'); host.classify('x', () => {}) }`,
    'metrics',
    /1 were not/,
  ],
  [
    'classifier.clings',
    `setup(host) { host.classify('x', () => {}); return { close: () => new Promise(() => {}) } }`,
    'closes',
    /2000 ms/,
  ],
  [
    'classifier.fickle',
    `setup(host) { host.classify(fs.existsSync('been') ? 'y' : 'x', () => {}); fs.writeFileSync('been', '') }`,
    'starts-again',
    /it had classifier [xy], and has/,
    `import fs from 'node:fs'`,
  ],
  [
    'admission.mute',
    `setup(host) { host.admit('x', () => ({ verdict: 'hold' })) }`,
    'admission-answers',
    /a job: reason/,
  ],
  [
    'exporter.once',
    exports(`onEvents([{ id }]) { if (id <= last) throw new Error('again!'); last = id }`),
    'exporter-again',
    /again!/,
    'let last = 0',
  ],
  [
    'exporter.knowing',
    exports(`onEvents: (all) => { for (const { kind } of all) if (kind.startsWith('tea')) throw new Error(kind) }`),
    'exporter-unknown-kinds',
    /teapot/,
  ],
  ['exporter.odd', exports(`onEvents() {}, scrape: () => ({ body: 1, contentType: 'a/b' })`), 'exporter-page', /body/],
  [
    'executor.moody',
    executes('{}', `() => [String(Math.random()).slice(2)]`),
    'executor-capabilities',
    /and then/,
    script,
  ],
  [
    'executor.deaf',
    executes(`{ run: async (input, output) => ({ ...(await runner.run(input, output)), exitCode: 0 }) }`),
    'executor-exit-codes',
    /ends with 3 ended with 0/,
    script,
  ],
  [
    'executor.lost',
    executes(`{ run: (input, output) => runner.run({ ...input, env: {} }, output) }`),
    'executor-environment',
    /variables are not there/,
    script,
  ],
  [
    'executor.silent',
    executes(`{ run: (input) => runner.run(input, () => {}) }`),
    'executor-environment',
    /not there/,
    script,
  ],
  [
    'executor.strict',
    executes(`{ cleanUp: async ({ session }) => { if (session.includes('never')) throw new Error('who?') } }`),
    'executor-clean-up',
    /who\?/,
    script,
  ],
]

describe('the contract suite', () => {
  it('finds a breach of each rule', async () => {
    await using bench = new PluginBench()
    const some = breaches.filter((_, at) => long || at % 3 === 0)
    const found = some.map(async ([id, source, rule, message, before = '']) => {
      const permissions = id.startsWith('executor') ? ['fs-read', 'fs-write', 'child-process'] : []
      const config = /config/.test(source) ? '' : 'config: () => ({}),'
      const manifest = { peerDependencies: { signalbox: '*' }, permissions, kind: [id.split('.')[0]] }
      const use = bench.plugin(id, `${config} ${source}`, { before, manifest })
      const { ok, rules } = await checkPlugin(path.join(bench.folder, use), { childScript })
      return { id, ok, broken: rules.filter(({ outcome }) => outcome === 'broken'), rule, message }
    })
    for (const { id, ok, broken, rule, message } of await Promise.all(found)) {
      expect(
        broken.map((one) => one.rule),
        id,
      ).toContain(rule)
      expect(broken.find((one) => one.rule === rule)?.message, id).toMatch(message)
      expect(ok).toBe(false)
    }
  })

  it('says of a folder that is no plugin what it lacks', async () => {
    await using bench = new PluginBench()
    const place = bench.write('none', { 'package.json': { name: 'none' } })
    expect(await checkPlugin(path.join(bench.folder, place))).toEqual({
      plugin: null,
      ok: false,
      rules: [
        { rule: 'package', outcome: 'broken', message: 'package.json has no table "signalbox", so this is no plugin' },
      ],
    })
  })
})
