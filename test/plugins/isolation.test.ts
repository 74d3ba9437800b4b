/** Plugins in processes of their own: what they see of us, and what their end means. */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { SystemClock } from '../../src/core/clock.js'
import type { Plugins } from '../../src/plugins/host.js'
import { eventually } from '../support/eventually.js'
import { evidence, PluginBench } from './support/plugins.js'

const childScript = path.resolve('dist/bundle/plugin-child.js')

/** A bench whose plugins run as they do for users. */
class IsolatedBench extends PluginBench {
  readonly work = mkdtempSync(path.join(os.tmpdir(), 'signalbox-plugin-work-'))

  start(...uses: (string | { use: string; env?: string[]; memoryMb?: number; config?: Record<string, unknown> })[]) {
    const options = { clock: new SystemClock(), childScript, workFolder: this.work, importModule: undefined }
    return this.load(uses, [], options as never)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    rmSync(this.work, { recursive: true, force: true })
  }
}

const says = (expression: string) => `setup(host) {
  host.classify('x', async (evidence) => ({
    reason: 'script_failure', class: 'script', retryable: false, explanation: String(${expression}),
  }))
}`

async function told(plugins: Plugins): Promise<string | undefined> {
  return (await plugins.classifyLater(evidence))?.verdict.explanation
}

describe('a plugin of others', () => {
  it('runs in a process of its own, with its own folder and an empty environment', async () => {
    await using bench = new IsolatedBench()
    const use = bench.plugin('classifier.own', says(`JSON.stringify([process.pid, process.cwd(), process.env])`))
    const plugins = await bench.start(use)
    expect(plugins.list()).toMatchObject([{ id: 'classifier.own', state: 'ready', lastError: null }])
    const [pid, cwd, env] = JSON.parse((await told(plugins))!)
    expect(pid).not.toBe(process.pid)
    expect(cwd.startsWith(bench.work)).toBe(true)
    expect(env).toEqual({})
    await eventually(() => expect(plugins.list()[0]?.process?.residentBytes).toBeGreaterThan(1_000_000))
  })

  it('gets the variables that the configuration names, and its configuration', async () => {
    await using bench = new IsolatedBench()
    const use = bench.plugin(
      'classifier.env',
      `config: (given) => given, ${says(`JSON.stringify([process.env, given])`).replace('setup(host)', 'setup(host, given)')}`,
    )
    const env = ['SIGNALBOX_TEST_GIVEN', 'SIGNALBOX_TEST_MISSING']
    process.env.SIGNALBOX_TEST_GIVEN = 'yes'
    const plugins = await bench.start({ use, env, config: { level: 3 } })
    expect(JSON.parse((await told(plugins))!)).toEqual([{ SIGNALBOX_TEST_GIVEN: 'yes' }, { level: 3 }])
  })

  it('reads and writes where it may, and nowhere else unless its manifest asks', async () => {
    await using bench = new IsolatedBench()
    const looks = says(`[
      attempt(() => fs.readFileSync('/etc/passwd')), attempt(() => fs.readFileSync(new URL(import.meta.url))),
      attempt(() => fs.writeFileSync('mine', '')), attempt(() => fs.writeFileSync(new URL('x', import.meta.url), '')),
      attempt(() => execFileSync('true')),
    ]`)
    const before = `import fs from 'node:fs'
      import { execFileSync } from 'node:child_process'
      const attempt = (act) => { try { act(); return 'done' } catch (error) { return error.code } }`
    const denied = 'ERR_ACCESS_DENIED'
    const modest = await bench.start(bench.plugin('classifier.modest', looks, { before }))
    expect((await told(modest))?.split(',')).toEqual([denied, 'done', 'done', denied, denied])
    const manifest = { permissions: ['fs-read', 'fs-write', 'child-process'] }
    const bold = await bench.start(bench.plugin('classifier.bold', looks, { before, manifest }))
    expect((await told(bold))?.split(',')).toEqual(['done', 'done', 'done', 'done', 'done'])
    expect(bold.list()[0]?.process?.permissions).toEqual(manifest.permissions)
  })

  it('says by log and metrics what it does', async () => {
    await using bench = new IsolatedBench()
    const use = bench.plugin(
      'classifier.chatty',
      `setup(host) { host.logger.info({ a: 1 }, 'hello'); host.metrics.count('setups', { why: 'start' }); console.log('raw') }`,
    )
    const plugins = await bench.start(use)
    await eventually(() => {
      expect(bench.logged).toContainEqual({
        level: 'info',
        fields: { a: 1, plugin: 'classifier.chatty' },
        message: 'hello',
      })
      expect(bench.logged).toContainEqual({ level: 'info', fields: { plugin: 'classifier.chatty' }, message: 'raw' })
    })
    await eventually(async () => {
      const page = await plugins.gauges()
      const counted = page.find(({ name }) => name === 'signalbox_plugin_classifier_chatty_setups_total')
      expect(counted?.values).toEqual([{ labels: { why: 'start' }, value: 1 }])
    })
  })

  it('is closed at the end, and its process is gone', async () => {
    await using bench = new IsolatedBench()
    const use = bench.plugin('classifier.tidy', `setup: (host) => ({ close: () => host.logger.info({}, 'closing') })`)
    const plugins = await bench.start(use)
    const { pid } = plugins.list()[0]!.process!
    await plugins.close()
    expect(plugins.list()[0]).toMatchObject({ state: 'closed', lastError: null })
    await eventually(() => expect(isAlive(pid!)).toBe(false))
  })
})

describe.concurrent('a process that fails', () => {
  const once = (fault: string) => `setup(host) {
    host.classify('x', async () => {
      if (!fs.existsSync('been')) { fs.writeFileSync('been', ''); ${fault} }
      return { reason: 'script_failure', class: 'script', retryable: false, explanation: 'well' }
    })
  }`
  it.each<[string, string, RegExp]>([
    ['ends itself', 'process.exit(3)', /ended its process with code 3/],
    [
      'throws in a timer',
      `setTimeout(() => { throw new Error('late') }); await new Promise(() => {})`,
      /uncaughtException: late/,
    ],
    ['rejects unheard', `Promise.reject(new Error('lost')); await new Promise(() => {})`, /unhandledRejection: lost/],
    ['loops', 'for (;;);', /has not answered for 3 s/],
    ['crashes', 'process.kill(process.pid, "SIGSEGV"); await new Promise(() => {})', /crashed with SIGSEGV/],
    [
      'leaks buffers',
      'globalThis.leak = []; for (;;) { leak.push(Buffer.alloc(2e7, 1)); await new Promise((go) => setTimeout(go, 5)) }',
      /MiB of memory, and may use 256/,
    ],
    [
      'leaks heap',
      'globalThis.leak = []; for (;;) { leak.push(Array.from({ length: 1e5 }, (_, i) => [i])); await new Promise((go) => setTimeout(go, 5)) }',
      /memory|SIGABRT/,
    ],
    [
      'speaks unasked',
      'for (let i = 0; i < 1000; i++) process._send({ answer: i + 1e6, json: "1" }, undefined, {}, () => {}); await new Promise(() => {})',
      /nobody asked for: 100 messages/,
    ],
    [
      'answers at length',
      `process._send({ answer: 4, json: 'x'.repeat(18 * 1024 * 1024) }, undefined, {}, () => {}); await new Promise(() => {})`,
      /18874368 characters is too long/,
    ],
  ])('because it %s is named for it, and comes back', async (_, fault, blame) => {
    await using bench = new IsolatedBench()
    const use = bench.plugin('classifier.bad', once(fault), { before: `import fs from 'node:fs'` })
    const plugins = await bench.start(use)
    expect(await told(plugins)).toBeUndefined()
    await eventually(() => expect(plugins.list()[0]?.lastError).toMatch(blame))
    await eventually(async () => expect(await told(plugins)).toBe('well'))
    expect(plugins.list()[0]).toMatchObject({ state: 'ready', health: 'well', process: { restarts: 1 } })
  })

  it('ends what it has started', async () => {
    await using bench = new IsolatedBench()
    const fault = `const { pid } = spawn('sleep', ['600']); host.logger.info({ pid }, 'started'); setTimeout(() => process.exit(3), 50)`
    const use = bench.plugin('classifier.parent', once(fault), {
      before: `import fs from 'node:fs'; import { spawn } from 'node:child_process'`,
      manifest: { permissions: ['child-process'] },
    })
    const plugins = await bench.start({ use, env: ['PATH'] })
    await told(plugins)
    const pidOf = () => bench.logged.find(({ message }) => message === 'started')?.fields.pid as number
    await eventually(() => expect(pidOf()).toBeGreaterThan(0))
    await eventually(() => expect(isAlive(pidOf())).toBe(false))
  })

  it('in its setup is tried again', async () => {
    await using bench = new IsolatedBench()
    const use = bench.plugin(
      'classifier.late',
      `setup(host) {
        if (!fs.existsSync('been')) { fs.writeFileSync('been', ''); throw new Error('not yet') }
        host.classify('x', () => ({ reason: 'script_failure', class: 'script', retryable: false, explanation: 'now' }))
      }`,
      { before: `import fs from 'node:fs'` },
    )
    const plugins = await bench.start(use)
    expect(plugins.list()[0]).toMatchObject({ state: 'degraded', lastError: 'setup: not yet' })
    await eventually(async () => expect(await told(plugins)).toBe('now'))
  })
})

describe('a plugin that a person', () => {
  it('disables is gone until it is enabled', async () => {
    await using bench = new IsolatedBench()
    const plugins = await bench.start(bench.plugin('classifier.off', says(`'here'`)))
    const { pid } = plugins.list()[0]!.process!
    expect(await plugins.enable('classifier.off', false)).toMatchObject({ state: 'disabled', process: null, hooks: [] })
    expect(await told(plugins)).toBeUndefined()
    await eventually(() => expect(isAlive(pid!)).toBe(false))
    expect(await plugins.enable('classifier.off', true)).toMatchObject({ state: 'ready' })
    expect(await told(plugins)).toBe('here')
    await expect(plugins.enable('classifier.none', false)).rejects.toThrow('no plugin "classifier.none" is configured')
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
