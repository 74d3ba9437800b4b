import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { definePlugin, PluginConfigError } from '../../src/plugins/sdk.js'
import { evidence, openTrail, PluginBench, passing, shared, trail, turn, until } from './support/plugins.js'

const verdict = (text: string) =>
  `{ reason: 'script_failure', class: 'script', retryable: false, explanation: '${text}' }`
const classifies = (text: string) => `setup(host) { host.classify('x', () => (${verdict(text)})) }`

beforeEach(() => void trail())

describe('a plugin that the configuration names', () => {
  it('is loaded from a folder with a manifest', async () => {
    await using bench = new PluginBench()
    const status = await bench.loadOne(bench.plugin('classifier.hello', classifies('hello')))
    expect(status).toMatchObject({
      id: 'classifier.hello',
      use: './hello',
      builtin: false,
      kinds: ['classifier'],
      state: 'ready',
      hooks: ['classifier x'],
      lastError: null,
      calls: 0,
      failures: 0,
    })
    expect(await status.plugins.classifyLater(evidence)).toMatchObject({
      plugin: 'classifier.hello',
      classifier: 'x',
      verdict: { explanation: 'hello' },
    })
  })

  it('is loaded from a single file', async () => {
    await using bench = new PluginBench()
    bench.write('', {
      'single.mjs': `import { definePlugin } from 'signalbox/plugin'
        export default definePlugin({ id: 'classifier.single', apiVersion: 1, ${classifies('single')} })`,
    })
    expect(await bench.loadOne('./single.mjs')).toMatchObject({ id: 'classifier.single', state: 'ready' })
  })

  it('is loaded from an npm package installed further up, through conditional exports', async () => {
    await using bench = new PluginBench()
    bench.write('node_modules/@acme/signalbox-plugin-up', {
      'package.json': {
        name: '@acme/signalbox-plugin-up',
        exports: { '.': { require: './no.cjs', import: { types: './x.d.ts', default: './lib/up.mjs' } } },
        signalbox: { apiVersion: 1, kind: 'classifier' },
      },
      'lib/up.mjs': `import { definePlugin } from 'signalbox/plugin'
        export default definePlugin({ id: 'classifier.up', apiVersion: 1, ${classifies('up')} })`,
    })
    mkdirSync(path.join(bench.folder, 'etc/ci'), { recursive: true })
    const use = { use: '@acme/signalbox-plugin-up', baseFolder: path.join(bench.folder, 'etc/ci') }
    expect(await bench.loadOne(use)).toMatchObject({ id: 'classifier.up', state: 'ready' })
  })

  it('gets the surface of this process, so that its errors and ours are the same', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.keys',
      `config(given) { throw new PluginConfigError('patterns.0.contains', 'must be a text') }, setup() {}`,
    )
    expect(await bench.loadOne({ use, config: { patterns: [] } })).toMatchObject({
      state: 'degraded',
      lastError: 'config: plugin classifier.keys: config key "patterns.0.contains": must be a text',
    })
  })

  it('of another kind than is asked for is left out, and its code does not run', async () => {
    await using bench = new PluginBench()
    const uses = [
      bench.plugin('classifier.out', `setup() { trail.push('setup') }`, { before: `${openTrail}; trail.push('code')` }),
      bench.plugin('executor.in', `setup(host) { host.executor('in', { capabilities: () => [] }) }`),
      bench.write('broken', {}),
    ]
    bench.write('', { 'single.mjs': `export default { id: 'exporter.single', apiVersion: 1, setup() {} }` })
    const plugins = await bench.load([...uses, './single.mjs', 'exporter.prometheus'], [], { kinds: ['executor'] })
    expect(plugins.list().map(({ id, state }) => [id, state])).toEqual([
      ['executor.in', 'ready'],
      ['./broken', 'degraded'],
    ])
    expect(trail()).toEqual([])
  })
})

describe('what is not a plugin is shown as degraded with the reason', () => {
  const manifest = (over: object) => ({
    type: 'module',
    main: 'index.js',
    signalbox: { apiVersion: 1, kind: ['classifier'] },
    ...over,
  })
  const entry = (fields: string) => `export default { ${fields} }`
  const good = entry(`id: 'classifier.x', apiVersion: 1, setup() {}`)
  const cases: [string, Record<string, string | object>, RegExp][] = [
    ['no package.json', { 'readme.md': '' }, /has no package\.json/],
    ['package.json is not JSON', { 'package.json': '{"a":' }, /is not JSON/],
    ['package.json is a list', { 'package.json': '[]' }, /is not an object/],
    ['no manifest', { 'package.json': {}, 'index.js': good }, /no table "signalbox"/],
    [
      'manifest of apiVersion 99',
      { 'package.json': manifest({ signalbox: { apiVersion: 99, kind: [] } }) },
      /apiVersion is 99/,
    ],
    [
      'manifest without apiVersion',
      { 'package.json': manifest({ signalbox: { kind: 'exporter' } }) },
      /apiVersion is nothing/,
    ],
    ['no kind', { 'package.json': manifest({ signalbox: { apiVersion: 1, kind: [] } }) }, /names no kind/],
    [
      'unknown kind',
      { 'package.json': manifest({ signalbox: { apiVersion: 1, kind: ['notifier'] } }) },
      /not "notifier"/,
    ],
    [
      'made for another version',
      { 'package.json': manifest({ peerDependencies: { signalbox: '^99' } }), 'index.js': good },
      /made for signalbox \^99, and this is \d/,
    ],
    [
      'permissions that there are not',
      { 'package.json': manifest({ signalbox: { apiVersion: 1, kind: ['classifier'], permissions: ['root'] } }) },
      /may name fs-read.*not "root"/,
    ],
    [
      'kind constructor',
      { 'package.json': manifest({ signalbox: { apiVersion: 1, kind: 'constructor' } }) },
      /not "constructor"/,
    ],
    ['entry outside', { 'package.json': manifest({ main: '../other/index.js' }) }, /outside the plugin's folder/],
    ['entry missing', { 'package.json': manifest({ main: 'gone.js' }) }, /is not there/],
    ['entry not JavaScript', { 'package.json': manifest({ main: 'index.wasm' }), 'index.wasm': '' }, /\.js or \.mjs/],
    ['exports nothing', { 'package.json': manifest({ exports: { './x': './x.js' } }) }, /exports nothing for "\."/],
    ['syntax error', { 'package.json': manifest({}), 'index.js': 'export default {' }, /Unexpected end of input/],
    [
      'throws as it is loaded',
      { 'package.json': manifest({}), 'index.js': 'throw new Error("no luck")' },
      /load: no luck/,
    ],
    ['no default export', { 'package.json': manifest({}), 'index.js': 'export const a = 1' }, /default export must be/],
    [
      'apiVersion 99',
      { 'package.json': manifest({}), 'index.js': entry(`id: 'classifier.x', apiVersion: 99, setup() {}`) },
      /apiVersion is 99, and this Signalbox has version 1/,
    ],
    [
      'id ../x',
      { 'package.json': manifest({}), 'index.js': entry(`id: '../x', apiVersion: 1, setup() {}`) },
      /must be kind\.name.*"\.\.\/x"/,
    ],
    [
      'id constructor',
      { 'package.json': manifest({}), 'index.js': entry(`id: 'constructor', apiVersion: 1, setup() {}`) },
      /must be kind\.name/,
    ],
    [
      'id classifier.constructor',
      { 'package.json': manifest({}), 'index.js': entry(`id: 'classifier.constructor', apiVersion: 1, setup() {}`) },
      /must not be named "constructor"/,
    ],
    [
      'id of no kind',
      { 'package.json': manifest({}), 'index.js': entry(`id: 'thing.x', apiVersion: 1, setup() {}`) },
      /no kind "thing"/,
    ],
    [
      'id that is no text',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: { toString: () => 'classifier.x' }, apiVersion: 1, setup() {}`),
      },
      /must be kind\.name.*an object/,
    ],
    [
      'id of another kind',
      { 'package.json': manifest({}), 'index.js': entry(`id: 'exporter.x', apiVersion: 1, setup() {}`) },
      /names the kind exporter/,
    ],
    [
      'no setup',
      { 'package.json': manifest({}), 'index.js': entry(`id: 'classifier.x', apiVersion: 1`) },
      /setup must be a function/,
    ],
    [
      'setup throws',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: 'classifier.x', apiVersion: 1, setup() { throw new Error('broken') }`),
      },
      /setup: broken/,
    ],
    [
      'setup throws undefined',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: 'classifier.x', apiVersion: 1, setup() { throw undefined }`),
      },
      /setup: threw undefined/,
    ],
    [
      'setup rejects',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: 'classifier.x', apiVersion: 1, async setup() { throw new Error('broken') }`),
      },
      /setup: broken/,
    ],
    [
      'setup gives nonsense',
      { 'package.json': manifest({}), 'index.js': entry(`id: 'classifier.x', apiVersion: 1, setup: () => 7`) },
      /setup must give nothing/,
    ],
    [
      'hook of a kind not granted',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: 'classifier.x', apiVersion: 1, setup(h) { h.export('x', { onEvents() {} }) }`),
      },
      /does not name the kind exporter/,
    ],
    [
      'hook with a bad name',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: 'classifier.x', apiVersion: 1, setup(h) { h.classify('a/b', () => {}) }`),
      },
      /hook's name/,
    ],
    [
      'hook named constructor',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: 'classifier.x', apiVersion: 1, setup(h) { h.classify('constructor', () => {}) }`),
      },
      /hook's name/,
    ],
    [
      'hook that is no function',
      {
        'package.json': manifest({}),
        'index.js': entry(`id: 'classifier.x', apiVersion: 1, setup(h) { h.classify('a', 7) }`),
      },
      /must be a function/,
    ],
  ]
  it.each(cases)('%s', async (name, files, reason) => {
    await using bench = new PluginBench()
    const status = await bench.loadOne(bench.write('odd', files))
    expect(status, name).toMatchObject({ state: 'degraded', hooks: [] })
    expect(status.lastError).toMatch(reason)
    expect(await status.plugins.classifyLater(evidence)).toBeUndefined()
  })

  it.each([
    ['./nothing', /nothing at \.\/nothing/],
    ['../nowhere-at-all', /nothing at \.\.\/nowhere/],
    ['constructor', /no package constructor is installed/],
    ['not a package', /neither a path/],
    ['@a/../b', /neither a path/],
    ['', /use must name/],
    ['./a\0b', /use must name/],
    ['file:///etc/passwd', /neither a path/],
    ['data:text/javascript,1', /neither a path/],
    ['node:fs', /neither a path/],
  ])('use = %j', async (use, reason) => {
    await using bench = new PluginBench()
    const status = await bench.loadOne(use)
    expect(status.state).toBe('degraded')
    expect(status.lastError).toMatch(reason)
  })

  it('an entry that is a link out of the folder', async () => {
    await using bench = new PluginBench()
    bench.write('', { 'outside.js': good })
    const use = bench.write('linked', { 'package.json': manifest({}) })
    symlinkSync(path.join(bench.folder, 'outside.js'), path.join(bench.folder, 'linked/index.js'))
    expect((await bench.loadOne(use)).lastError).toMatch(/leads outside/)
  })

  it('a single file that is a link out of its folder', async () => {
    await using bench = new PluginBench()
    mkdirSync(path.join(bench.folder, 'inner'))
    writeFileSync(path.join(bench.folder, 'outside.mjs'), good)
    symlinkSync(path.join(bench.folder, 'outside.mjs'), path.join(bench.folder, 'inner/p.mjs'))
    expect((await bench.loadOne('./inner/p.mjs')).lastError).toMatch(/leads outside/)
  })

  it('but a folder that is itself a link is as good as the folder', async () => {
    await using bench = new PluginBench()
    bench.plugin('classifier.real', classifies('real'))
    symlinkSync(path.join(bench.folder, 'real'), path.join(bench.folder, 'alias'))
    expect((await bench.loadOne('./alias')).state).toBe('ready')
  })

  it('one that never ends to load', async () => {
    await using bench = new PluginBench()
    const source = `${openTrail}; trail.push('began'); await new Promise(() => {})`
    const loading = bench.loadOne(bench.write('slow', { 'package.json': manifest({}), 'index.js': source }))
    await until(() => shared.trail.includes('began'))
    bench.clock.advance(10_000)
    expect(await loading).toMatchObject({ state: 'degraded', lastError: 'load: no answer within 10000 ms' })
  })

  it('one whose setup never ends; what it gives later is closed', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.late',
      `setup(host) {
        host.signal.addEventListener('abort', () => trail.push('aborted'))
        trail.push('began')
        return new Promise((resolve) => { gates.late = () => resolve({ close() { trail.push('closed') } }) })
      }`,
      { before: openTrail },
    )
    const loading = bench.loadOne(use)
    await until(() => shared.trail.includes('began'))
    bench.clock.advance(10_000)
    expect(await loading).toMatchObject({ state: 'degraded', lastError: 'setup: no answer within 10000 ms' })
    shared.gates.late?.()
    await turn()
    expect(trail()).toEqual(['began', 'aborted', 'closed'])
  })

  it('one that attaches a hook after its setup', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin(
      'classifier.later',
      `setup(host) { host.classify('now', () => { host.classify('later', () => {}) }) }`,
    )
    const { plugins } = await bench.loadOne(use)
    await plugins.classifyLater(evidence)
    expect(plugins.list()[0]).toMatchObject({ hooks: ['classifier now'], failures: 1 })
    expect(plugins.list()[0]?.lastError).toMatch(/during setup only/)
  })

  it('a second plugin of the same id', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin('classifier.twin', classifies('twin'))
    const [first, second] = (await bench.load([use, use])).list()
    expect(first?.state).toBe('ready')
    expect(second).toMatchObject({ id: use, state: 'degraded' })
    expect(second?.lastError).toMatch(/there is a plugin classifier\.twin already/)
  })
})

describe('configuration', () => {
  const takes = `config(given) {
    for (const key of Object.keys(given)) if (key !== 'level') throw new PluginConfigError(key, 'unknown key')
    return { level: given.level ?? 1 }
  }, setup(host, config) { trail.push(JSON.stringify(config)) }`

  it('reaches setup as the plugin has read it', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin('classifier.level', takes, { before: openTrail })
    expect((await bench.loadOne({ use, config: { level: 3 } })).state).toBe('ready')
    expect(trail()).toEqual(['{"level":3}'])
  })

  it('with an unknown key is an error that names plugin and key', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin('classifier.level', takes, { before: openTrail })
    const status = await bench.loadOne({ use, config: { levle: 3 } })
    expect(status.lastError).toBe('config: plugin classifier.level: config key "levle": unknown key')
    expect(trail()).toEqual([])
  })

  it('of a plugin that takes none is an error', async () => {
    await using bench = new PluginBench()
    const use = bench.plugin('classifier.plain', classifies('plain'))
    const status = await bench.loadOne({ use, config: { any: 1 } })
    expect(status.lastError).toBe(
      'config: plugin classifier.plain: config key "any": unknown key, the plugin takes no configuration',
    )
  })

  it.each<[unknown, string]>([
    [{ a: [1, { b: 10n }] }, 'config key "a.1.b": must be plain data, not a bigint'],
    [{ at: new Date() }, 'config key "at": must be plain data, not an object of a class'],
    [JSON.parse('{"a":{"__proto__":{}}}'), 'config key "a.__proto__": is not allowed as a key'],
    [{ n: Number.NaN }, 'config key "n": must be a finite number, not NaN'],
    ['text', 'config: must be a table, not a string'],
  ])('that is no plain data is an error: $1', async (config, reason) => {
    await using bench = new PluginBench()
    const use = bench.plugin('classifier.level', takes, { before: openTrail })
    const status = await bench.loadOne({ use, config: config as Record<string, unknown> })
    expect(status.lastError).toBe(`config: plugin classifier.level: ${reason}`)
  })

  it('that is a promise is an error', async () => {
    await using bench = new PluginBench()
    const status = await bench.loadOne(
      bench.plugin('classifier.wait', `async config() { throw new Error('late') }, setup() {}`),
    )
    expect(status.lastError).toMatch(/config must answer at once/)
  })

  it('reaches a built-in that is named by its id', async () => {
    await using bench = new PluginBench()
    const seen: unknown[] = []
    const builtin = definePlugin<{ shell: unknown }>({
      id: 'executor.own',
      apiVersion: 1,
      config: (given) => ({ shell: given.shell }),
      setup(_, config) {
        seen.push(config)
        return undefined
      },
    })
    const plugins = await bench.load([{ use: 'executor.own', config: { shell: 'sh' } }], [builtin])
    expect(plugins.list()).toMatchObject([{ id: 'executor.own', use: 'executor.own', builtin: true, state: 'ready' }])
    expect(seen).toEqual([{ shell: 'sh' }])
  })
})

describe('order', () => {
  const noisy = (name: string, requires: string[] = [], setup = '') =>
    [
      `classifier.${name}`,
      `requires: ${JSON.stringify(requires)}, setup(host) {
        trail.push('setup ${name}'); ${setup}
        return { close() { trail.push('close ${name}') } }
      }`,
      { before: openTrail },
    ] as const

  it('is that of the configuration, except that each comes after those that it requires; closing is the reverse', async () => {
    await using bench = new PluginBench()
    const uses = [
      bench.plugin(...noisy('a', ['classifier.c'])),
      bench.plugin(...noisy('b')),
      bench.plugin(...noisy('c', ['classifier.d'])),
      bench.plugin(...noisy('d')),
    ]
    const plugins = await bench.load(uses)
    expect(trail()).toEqual(['setup d', 'setup c', 'setup a', 'setup b'])
    await plugins.close()
    await plugins.close()
    expect(trail()).toEqual(['close b', 'close a', 'close c', 'close d'])
    expect(plugins.list().map(({ state }) => state)).toEqual(['closed', 'closed', 'closed', 'closed'])
  })

  it('leaves out one that requires a missing one, and those that require it', async () => {
    await using bench = new PluginBench()
    const uses = [
      bench.plugin(...noisy('a', ['classifier.nobody'])),
      bench.plugin(...noisy('b', ['classifier.a'])),
      bench.plugin(...noisy('c')),
    ]
    const list = (await bench.load(uses)).list()
    expect(list.map(({ state, lastError }) => [state, lastError])).toEqual([
      ['degraded', 'requires: requires classifier.nobody, which is not loaded'],
      ['degraded', 'requires: requires classifier.a, which cannot be used'],
      ['ready', null],
    ])
    expect(trail()).toEqual(['setup c'])
  })

  it('leaves out a circle, and whoever requires one of it', async () => {
    await using bench = new PluginBench()
    const uses = [
      bench.plugin(...noisy('a', ['classifier.b'])),
      bench.plugin(...noisy('b', ['classifier.c'])),
      bench.plugin(...noisy('c', ['classifier.b'])),
      bench.plugin(...noisy('d', ['classifier.d'])),
      bench.plugin(...noisy('e')),
    ]
    const list = (await bench.load(uses)).list()
    expect(list.map(({ state, lastError }) => [state, lastError])).toEqual([
      ['degraded', 'requires: requires classifier.b, which cannot be used'],
      ['degraded', 'requires: requires itself in a circle: classifier.b → classifier.c → classifier.b'],
      ['degraded', 'requires: requires itself in a circle: classifier.b → classifier.c → classifier.b'],
      ['degraded', 'requires: requires itself in a circle: classifier.d → classifier.d'],
      ['ready', null],
    ])
  })

  it('leaves out one whose requirement failed in its setup', async () => {
    await using bench = new PluginBench()
    const uses = [
      bench.plugin(...noisy('a', [], `throw new Error('broken')`)),
      bench.plugin(...noisy('b', ['classifier.a'])),
    ]
    const list = (await bench.load(uses)).list()
    expect(list.map(({ lastError }) => lastError)).toEqual([
      'setup: broken',
      'setup: requires classifier.a, which is not ready',
    ])
  })

  it('a built-in that fails is an error, and those before it are closed again', async () => {
    await using bench = new PluginBench()
    const first = definePlugin({
      id: 'classifier.first',
      apiVersion: 1,
      setup: () => ({ close: () => void shared.trail.push('close first') }),
    })
    const second = definePlugin({
      id: 'classifier.second',
      apiVersion: 1,
      setup() {
        throw new Error('broken')
      },
    })
    await expect(bench.load([], [first, second])).rejects.toThrow(
      'the built-in plugin classifier.second failed: broken',
    )
    expect(trail()).toEqual(['close first'])
    const strict = definePlugin({
      id: 'classifier.strict',
      apiVersion: 1,
      config() {
        throw new PluginConfigError('a', 'unknown key')
      },
      setup: () => undefined,
    })
    await expect(bench.load([], [strict])).rejects.toThrow('plugin classifier.strict: config key "a": unknown key')
  })

  it('closing goes on past one that throws and one that hangs', async () => {
    await using bench = new PluginBench()
    const closing = (name: string, close: string) =>
      bench.plugin(`classifier.${name}`, `setup: () => ({ close() { trail.push('close ${name}'); ${close} } })`, {
        before: openTrail,
      })
    const plugins = await bench.load([
      closing('a', ''),
      closing('b', `throw new Error('broken')`),
      closing('c', 'return new Promise(() => {})'),
    ])
    await passing(bench.clock, plugins.close())
    expect(trail()).toEqual(['close c', 'close b', 'close a'])
    expect(plugins.list().map(({ state, lastError }) => [state, lastError])).toEqual([
      ['closed', null],
      ['closed', 'close: broken'],
      ['closed', 'close: no answer within 2000 ms'],
    ])
  })
})
