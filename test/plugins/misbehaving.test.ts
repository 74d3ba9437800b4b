import { beforeEach, describe, expect, it } from 'vitest'
import type { Plugins } from '../../src/plugins/host.js'
import { definePlugin, type Json } from '../../src/plugins/sdk.js'
import { noOutput, prepareInput } from '../support/prepare-input.js'
import { evidence, openTrail, PluginBench, passing, shared, trail, turn, until } from './support/plugins.js'

const good = `({ reason: 'script_failure', class: 'script', retryable: false, explanation: 'good' })`
const scrapes = (body: string) => `({ contentType: 'text/plain', body: ${JSON.stringify(body)} })`
const facts = { executor: 'bad', platform: 'linux', architecture: 'amd64', features: ['artifacts'] }

beforeEach(() => void trail())

/** Ways to go wrong that every hook has: the source of an expression in a function body. */
const faults: Record<string, string> = {
  throws: `throw new Error('broken')`,
  'throws undefined': 'throw undefined',
  rejects: `return Promise.reject(new Error('broken'))`,
  hangs: `trail.push('hangs'); return new Promise(() => {})`,
  'gives a function': 'return () => 1',
  'gives a symbol': `return Symbol('x')`,
  'gives a bigint': 'return 1n',
  'gives NaN': 'return NaN',
  'gives a circle': 'const a = {}; a.a = a; return a',
  'gives __proto__': `return JSON.parse('{"__proto__": {"reason": "script_failure"}}')`,
  'gives a class': 'return new Map()',
  'gives an evil proxy': `return new Proxy({}, { get(_, key) { if (key === 'then') return undefined; throw new Error('proxy') }, ownKeys() { throw new Error('proxy') } })`,
  'gives too much': `return { reason: 'x'.repeat(70_000), a: Array.from({ length: 5000 }, () => 1) }`,
}

async function answerOf<T>(bench: PluginBench, fault: string, answer: Promise<T>): Promise<T> {
  if (fault !== 'hangs') return answer
  await until(() => shared.trail.includes('hangs'))
  bench.clock.advance(2000)
  return answer
}

/** The rest goes on: a second plugin of each kind, loaded beside, answers as ever. */
async function expectOthersWell(bench: PluginBench, plugins: Plugins): Promise<void> {
  expect((await passing(bench.clock, plugins.classifyLater(evidence)))?.plugin).toBe('classifier.well')
  expect(await plugins.capabilitiesOf({ ...facts, executor: 'well' })).toEqual(['image'])
  expect(plugins.list().filter(({ id }) => id.endsWith('.well'))).toMatchObject([
    { state: 'ready', failures: 0, lastError: null },
    { state: 'ready', failures: 0, lastError: null },
  ])
}

const well = (bench: PluginBench) => [
  bench.plugin('classifier.well', `setup(host) { host.classify('well', () => ${good}) }`, {
    manifest: { kind: ['classifier'] },
  }),
  bench.write('executor-well', {
    'package.json': { type: 'module', main: 'index.js', signalbox: { apiVersion: 1, kind: 'executor' } },
    'index.js': `import { definePlugin } from 'signalbox/plugin'
      export default definePlugin({ id: 'executor.well', apiVersion: 1,
        setup(host) { host.executor('well', { capabilities: () => ['image'] }) } })`,
  }),
]

describe.each(Object.entries(faults))('a plugin that %s', (fault, source) => {
  it('as a classifier is passed over', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin('classifier.bad', `setup(host) { host.classify('bad', () => { ${source} }) }`, {
      before: openTrail,
    })
    const plugins = await bench.load([use, ...well(bench)])
    expect((await answerOf(bench, fault, plugins.classifyLater(evidence)))?.verdict.explanation).toBe('good')
    expect(plugins.list()[0]).toMatchObject({ state: 'ready', calls: 1, failures: 1 })
    expect(plugins.list()[0]?.lastError).toMatch(/^classify bad: /)
    await expectOthersWell(bench, plugins)
  })

  it('as an executor on the coordinator adds no features', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin('executor.bad', `setup(host) { host.executor('bad', { capabilities() { ${source} } }) }`, {
      before: openTrail,
    })
    const plugins = await bench.load([use, ...well(bench)])
    expect(await answerOf(bench, fault, Promise.resolve(plugins.capabilitiesOf(facts)))).toEqual([])
    expect(plugins.list()[0]).toMatchObject({ calls: 1, failures: 1 })
    for (let i = 0; i < 10; i++) await passing(bench.clock, Promise.resolve(plugins.capabilitiesOf(facts)))
    expect(plugins.list()[0]).toMatchObject({ state: 'degraded', calls: 5, failures: 5, refused: 6 })
    await expectOthersWell(bench, plugins)
  })

  it('as an executor on a runner fails the call, and no more', async () => {
    await using bench = new PluginBench()
    const hook = `async () => { ${source} }`
    const use = bench.plugin(
      'executor.bad',
      `setup(host) { host.executor('bad', { capabilities: () => [], runner: {
        prepare: ${hook}, run: ${hook}, cancel: ${hook}, cleanUp: ${hook} } }) }`,
      { before: openTrail },
    )
    const plugins = await bench.load([use, ...well(bench)])
    const runner = plugins.executor('bad')!.runner!
    const session = 's'
    const run = { session, stage: 'step_script', script: 'x', env: {}, cwd: '/' }
    if (fault === 'hangs') {
      const cancel = runner.cancel({ session, graceMs: 5000 })
      const cleanUp = runner.cleanUp({ session })
      await until(() => shared.trail.length === 2)
      bench.clock.advance(30_000)
      await expect(cleanUp).rejects.toThrow('no answer within 30000 ms')
      bench.clock.advance(5000)
      await expect(cancel).rejects.toThrow('no answer within 35000 ms')
    } else {
      await expect(runner.prepare(prepareInput(session, { build: '/', temp: '/' }), noOutput)).rejects.toThrow()
      await expect(runner.run(run, async () => undefined)).rejects.toThrow()
      // These give nothing, so whatever they give is nothing.
      const fails = /throws|rejects/.test(fault)
      expect(
        await runner.cancel({ session, graceMs: 0 }).then(
          () => false,
          () => true,
        ),
      ).toBe(fails)
      expect(
        await runner.cleanUp({ session }).then(
          () => false,
          () => true,
        ),
      ).toBe(fails)
    }
    expect(plugins.list()[0]?.failures).toBeGreaterThan(1)
    await expectOthersWell(bench, plugins)
  })

  it('as the exporter for /metrics gives way to the one before', async () => {
    await using bench = new PluginBench()
    const builtin = definePlugin({
      id: 'exporter.own',
      apiVersion: 1,
      setup(host) {
        host.export('own', { scrape: () => ({ contentType: 'text/plain', body: 'own' }) })
        return undefined
      },
    })
    const use = bench.plugin('exporter.bad', `setup(host) { host.export('bad', { scrape() { ${source} } }) }`, {
      before: openTrail,
    })
    const plugins = await bench.load([use, ...well(bench)], [builtin])
    expect((await answerOf(bench, fault, plugins.scrape([])))?.body).toBe('own')
    expect(plugins.list()[1]).toMatchObject({ id: 'exporter.bad', failures: 1 })
    await expectOthersWell(bench, plugins)
  })
})

describe('a classifier', () => {
  it.each<[string, Json]>([
    ['an unknown reason', { reason: 'constructor', class: 'script', retryable: true, explanation: '' }],
    ['an unknown class', { reason: 'script_failure', class: 'toString', retryable: true, explanation: '' }],
    ['retryable as a text', { reason: 'script_failure', class: 'script', retryable: 'yes', explanation: '' }],
    ['no explanation', { reason: 'script_failure', class: 'script', retryable: true }],
    ['a novel', { reason: 'script_failure', class: 'script', retryable: true, explanation: 'x'.repeat(1001) }],
    [
      'more than was asked',
      { reason: 'script_failure', class: 'script', retryable: true, explanation: '', status: 'success' },
    ],
    ['a text', 'script_failure'],
    ['a list', []],
  ])('that gives %s has given nothing', async (_, verdict) => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.bad',
      `setup(host) { host.classify('bad', () => (${JSON.stringify(verdict)})) }`,
    )
    const { plugins } = await bench.loadOne(use)
    expect(await plugins.classifyLater(evidence)).toBeUndefined()
    expect(plugins.list()[0]).toMatchObject({ calls: 1, failures: 1 })
  })

  it('that gives nothing is asked again next time', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin('classifier.shy', `setup(host) { host.classify('shy', () => null) }`)
    const { plugins } = await bench.loadOne(use)
    for (let i = 0; i < 7; i++) expect(await plugins.classifyLater(evidence)).toBeUndefined()
    expect(plugins.list()[0]).toMatchObject({ calls: 7, failures: 0, state: 'ready' })
  })

  it('that changes the evidence changes its own copy', async () => {
    await using bench = new PluginBench()
    const vandal = `setup(host) { host.classify('x', (e) => { e.job.name = 'mine'; e.exitCode = 0 }) }`
    const reader = `setup(host) { host.classify('x', (e) => ({ ...${good}, explanation: e.job.name + e.exitCode })) }`
    const plugins = await bench.load([
      bench.plugin('classifier.vandal', vandal),
      bench.plugin('classifier.reader', reader),
    ])
    const given = structuredClone(evidence)
    expect((await plugins.classifyLater(given))?.verdict.explanation).toBe('unit1')
    expect(given).toEqual(evidence)
  })

  it('that explains with control characters is shown in one plain line', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.ansi',
      `setup(host) { host.classify('x', () => ({ ...${good}, explanation: '\\u001b[31mred\\n\\nline\\u2028two\\u0000' })) }`,
    )
    const { plugins } = await bench.loadOne(use)
    expect((await plugins.classifyLater(evidence))?.verdict.explanation).toBe('[31mred line two')
  })

  it('that is called by many at once is called in turn, and not by all', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.slow',
      `setup(host) { host.classify('slow', async () => { trail.push('asked'); await new Promise((go) => { gates.slow = go }) }) }`,
      { before: openTrail },
    )
    const { plugins } = await bench.loadOne(use)
    const asked = Array.from({ length: 500 }, () => plugins.classifyLater(evidence))
    for (let i = 1; i <= 101; i++) {
      await until(() => shared.trail.length === i)
      shared.gates.slow?.()
    }
    await Promise.all(asked)
    expect(plugins.list()[0]).toMatchObject({ calls: 101, failures: 0, refused: 399 })
  })

  it('that hangs five times is left alone for half a minute', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.dead',
      `setup(host) { host.classify('dead', () => { trail.push('asked'); return gates.well ? ${good} : new Promise(() => {}) }) }`,
      { before: openTrail },
    )
    const { plugins } = await bench.loadOne(use)
    delete shared.gates.well
    for (let i = 1; i <= 5; i++) {
      const answer = plugins.classifyLater(evidence)
      await until(() => shared.trail.length === i)
      bench.clock.advance(2000)
      expect(await answer).toBeUndefined()
    }
    expect(plugins.list()[0]).toMatchObject({ state: 'degraded', lastError: 'classify dead: no answer within 2000 ms' })
    expect(await plugins.classifyLater(evidence)).toBeUndefined()
    expect(trail()).toHaveLength(5)
    shared.gates.well = () => undefined
    bench.clock.advance(30_000)
    expect((await plugins.classifyLater(evidence))?.verdict.explanation).toBe('good')
    expect(plugins.list()[0]).toMatchObject({ state: 'ready', refused: 1 })
  })
})

describe('a built-in classifier', () => {
  it('that throws or answers later is passed over', async () => {
    await using bench = new PluginBench()
    const named = (name: string, classify: () => never) =>
      definePlugin({
        id: `classifier.${name}`,
        apiVersion: 1,
        setup(host) {
          host.classify(name, classify)
          return undefined
        },
      })
    const verdict = { reason: 'script_failure', class: 'script', retryable: false, explanation: 'third' }
    const plugins = await bench.load(
      [],
      [
        named('first', () => {
          throw new Error('broken')
        }),
        named('second', (() => Promise.resolve(verdict)) as () => never),
        named('third', (() => verdict) as () => never),
      ],
    )
    expect(plugins.classify(evidence)).toMatchObject(verdict)
    expect(plugins.list().map(({ failures }) => failures)).toEqual([1, 1, 0])
    for (let i = 0; i < 10; i++) expect(plugins.classify(evidence)?.explanation).toBe('third')
  })

  it('cannot change the evidence, and is reported when it takes more than 5 ms', async () => {
    await using bench = new PluginBench()
    const slow = definePlugin({
      id: 'classifier.slow',
      apiVersion: 1,
      setup(host) {
        host.classify('slow', (given) => {
          for (const end = performance.now() + 7; performance.now() < end; );
          given.job.name = 'mine'
          return undefined
        })
        return undefined
      },
    })
    const plugins = await bench.load([], [slow])
    expect(plugins.classify(evidence)).toBeUndefined()
    expect(evidence.job.name).toBe('unit')
    expect(bench.logged).toContainEqual(expect.objectContaining({ message: 'a classifier is slow' }))
    expect(plugins.list()[0]?.lastError).toMatch(/read only/)
  })
})

describe('an executor', () => {
  const runs = (body: string) => `setup(host) { host.executor('bad', { capabilities: () => [], runner: {
    prepare: async () => ({ facts: {}, shell: 'sh' }), cancel: async () => {}, cleanUp: async () => {},
    run: async (input, output) => { ${body} } } }) }`
  const input = { session: 's', stage: 'step_script', script: 'x', env: {}, cwd: '/' }

  it.each<[string, string, string[]]>([
    ['odd capabilities', `['ok', 7]`, []],
    ['capabilities with odd names', `['a b']`, []],
    ['too many capabilities', `Array.from({ length: 101 }, (_, i) => 'f' + i)`, []],
    ['a list with holes', `[, 'a']`, []],
    ['good ones', `['image', 'gpu:a100']`, ['image', 'gpu:a100']],
  ])('with %s', async (_, list, expected) => {
    await using bench = new PluginBench()
    const use = bench.plugin('executor.bad', `setup(host) { host.executor('bad', { capabilities: () => (${list}) }) }`)
    const { plugins } = await bench.loadOne(use)
    expect(await plugins.capabilitiesOf(facts)).toEqual(expected)
  })

  it('that floods the output is told to wait, and ends nothing by not listening', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'executor.bad',
      runs(`
        const chunk = new Uint8Array(1024 * 1024)
        const told = []
        for (let i = 0; i < 100; i++) output(chunk).catch((error) => told.push(error.message))
        for (let i = 0; i < 10; i++) output('no bytes')
        await null
        trail.push(new Set(told).size, told.length, told[0])
        setImmediate(() => output(chunk))
        return { exitCode: 0, signal: null }`),
      { before: openTrail },
    )
    const { plugins } = await bench.loadOne(use)
    let taken = 0
    const never = (chunk: Uint8Array) => {
      taken += chunk.byteLength
      return new Promise<void>(() => undefined)
    }
    expect(await plugins.executor('bad')!.runner!.run(input, never)).toEqual({ exitCode: 0, signal: null })
    await turn()
    await turn()
    expect(taken).toBe(8 * 1024 * 1024)
    expect(trail().slice(1)).toEqual([92, 'too much output at once: wait for output() before the next chunk'])
  })

  it('hands over copies of its buffer', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'executor.bad',
      runs(`
        const chunk = new Uint8Array([104, 105])
        const taken = output(chunk)
        chunk.fill(0)
        await taken
        return { exitCode: 0, signal: null }`),
    )
    const { plugins } = await bench.loadOne(use)
    const chunks: Uint8Array[] = []
    await plugins.executor('bad')!.runner!.run(input, async (chunk) => void chunks.push(chunk))
    expect(Buffer.concat(chunks).toString()).toBe('hi')
  })

  it.each([
    '{}',
    '{ exitCode: 0.5, signal: null }',
    `{ exitCode: '0', signal: null }`,
    `{ exitCode: null, signal: 'kill' }`,
    `{ exitCode: 0, signal: null, more: 1 }`,
  ])('whose script ends with %s has not run it', async (result) => {
    await using bench = new PluginBench()
    const { plugins } = await bench.loadOne(bench.plugin('executor.bad', runs(`return ${result}`)))
    await expect(plugins.executor('bad')!.runner!.run(input, async () => undefined)).rejects.toThrow()
  })

  it('cannot take the name of another', async () => {
    await using bench = new PluginBench()
    const source = `setup(host) { host.executor('same', { capabilities: () => [] }) }`
    const list = (await bench.load([bench.plugin('executor.one', source), bench.plugin('executor.two', source)])).list()
    expect(list.map(({ state }) => state)).toEqual(['ready', 'degraded'])
    expect(list[1]?.lastError).toMatch(/another plugin has an executor of this name/)
  })

  it.each(['constructor', '__proto__', 'toString', 'nobody'])('named %s is not there', async (executor) => {
    await using bench = new PluginBench()
    const plugins = await bench.load([])
    expect(plugins.executor(executor)).toBeUndefined()
    expect(await plugins.capabilitiesOf({ ...facts, executor })).toEqual([])
  })
})

describe('what a plugin says of itself', () => {
  it('in the log carries its id, and is cut when it is too much', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.loud',
      `setup(host) {
        host.logger.info({ plugin: 'somebody-else', n: 1 }, 'hello\\nworld')
        host.logger.error({ big: 1n }, 'odd')
        host.classify('loud', () => { for (let i = 0; i < 1000; i++) host.logger.warn({ i }, 'x'.repeat(1000)) })
      }`,
    )
    const { plugins } = await bench.loadOne(use)
    expect(bench.logged.splice(0)).toEqual([
      { level: 'info', fields: { plugin: 'classifier.loud', n: 1 }, message: 'hello world' },
      {
        level: 'error',
        fields: { plugin: 'classifier.loud', reason: 'big: must be plain data, not a bigint' },
        message: 'a line of the plugin’s log that cannot be shown',
      },
    ])
    await plugins.classifyLater(evidence)
    expect(bench.logged.length).toBeLessThan(70)
    expect(bench.logged.splice(0).at(-1)?.message).toBe('the plugin logs too much: lines are left out')
    bench.clock.advance(1000)
    await plugins.classifyLater(evidence)
    expect(bench.logged.length).toBeGreaterThan(60)
  })

  it('in metrics is bounded, and dropped where it is wrong', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.counts',
      `setup({ metrics }) {
        metrics.count('jobs', { kind: 'a' })
        metrics.count('jobs', { kind: 'a' }, 2)
        metrics.gauge('size', 7)
        for (const [name, labels, by] of [
          ['a{b}\\n', {}, 1], ['jobs', {}, -1], ['jobs', {}, NaN], ['jobs', { 'a b': 'x' }, 1], ['jobs', { a: 7 }, 1],
          ['jobs', { a: 'x'.repeat(129) }, 1], ['jobs', null, 1], ['size', {}, 1], [7, {}, 1], ['constructor()', {}, 1],
        ]) metrics.count(name, labels, by)
        for (let i = 0; i < 10_000; i++) metrics.count('many', { i: String(i) })
      }`,
    )
    const page = bench.plugin(
      'exporter.page',
      `setup(host) { host.export('page', { scrape: (gauges) => ({ contentType: 'text/plain', body: JSON.stringify(gauges) }) }) }`,
    )
    const plugins = await bench.load([use, page])
    const gauges = JSON.parse((await plugins.scrape([]))!.body) as { name: string; values: { value: number }[] }[]
    const named = (name: string) => gauges.find((one) => one.name === name)?.values
    expect(named('signalbox_plugin_classifier_counts_jobs_total')).toEqual([{ labels: { kind: 'a' }, value: 3 }])
    expect(named('signalbox_plugin_classifier_counts_size')).toEqual([{ labels: {}, value: 7 }])
    expect(named('signalbox_plugin_classifier_counts_many_total')).toHaveLength(1998)
    expect(named('signalbox_plugin_dropped_metrics_total')?.[0]?.value).toBe(10 + 10_000 - 1998)
  })

  it('in a page for /metrics is bounded', async () => {
    await using bench = new PluginBench()
    const page = (name: string, scrape: string) =>
      bench.plugin(`exporter.${name}`, `setup(host) { host.export('${name}', { scrape: () => (${scrape}) }) }`)
    const plugins = await bench.load([
      page('well', scrapes('well')),
      page('huge', `{ contentType: 'text/plain', body: 'x'.repeat(16 * 1024 * 1024 + 1) }`),
      page('split', `{ contentType: 'text/plain\\r\\nSet-Cookie: a=b', body: '' }`),
    ])
    expect((await plugins.scrape([]))?.body).toBe('well')
    expect(plugins.list().map(({ failures }) => failures)).toEqual([0, 1, 1])
  })
})

it('a host without plugins has no verdict, no features, no executor and no page', async () => {
  await using bench = new PluginBench()
  const plugins = await bench.load([])
  expect(plugins.classify(evidence)).toBeUndefined()
  expect(await plugins.classifyLater(evidence)).toBeUndefined()
  expect(await plugins.capabilitiesOf(facts)).toEqual([])
  expect(plugins.executors()).toEqual([])
  expect(await plugins.scrape([])).toBeUndefined()
  expect(plugins.list()).toEqual([])
  await passing(bench.clock, plugins.close())
})
