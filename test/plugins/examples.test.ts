import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Core } from '../../src/core/core.js'
import { record } from '../../src/core/steps/record.js'
import type { ExportedEvent } from '../../src/plugins/sdk.js'
import { startTestCore } from '../support/core.js'
import { noOutput, prepareInput } from '../support/prepare-input.js'
import { evidence, PluginBench, turn } from './support/plugins.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const example = (name: string, config: object) => ({
  use: `./examples/plugins/${name}`,
  baseFolder: root,
  config: config as Record<string, unknown>,
})

describe('every example', () => {
  it.each(readdirSync(path.join(root, 'examples/plugins')))('%s imports nothing of ours but the surface', (name) => {
    const folder = path.join(root, 'examples/plugins', name)
    const imported = [...readFileSync(path.join(folder, 'index.js'), 'utf8').matchAll(/from '([^']+)'/g)].map(
      (m) => m[1],
    )
    expect(imported).toContain('signalbox/plugin')
    expect(imported.filter((one) => !one?.startsWith('node:'))).toEqual(['signalbox/plugin'])
    const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
    expect(manifest).toMatchObject({ peerDependencies: { signalbox: '*' }, keywords: ['signalbox-plugin'] })
    expect(existsSync(path.join(folder, 'README.md'))).toBe(true)
  })
})

describe('classifier-own-words', () => {
  const patterns = [
    { contains: 'ETIMEDOUT', class: 'dependency', retryable: true, explanation: 'The mirror did not answer.' },
    { contains: 'oops', explanation: 'Somebody said oops.' },
  ]

  it('finds the first pattern that the end of the log contains', async () => {
    await using bench = new PluginBench()
    const { plugins, ...status } = await bench.loadOne(example('classifier-own-words', { patterns }))
    expect(status).toMatchObject({ id: 'classifier.own-words', state: 'ready', lastError: null })
    const ask = (traceTail: string) => plugins.classifyLater({ ...evidence, traceTail })
    expect(await ask('oops\nconnect ETIMEDOUT 1.2.3.4\n')).toMatchObject({
      plugin: 'classifier.own-words',
      classifier: 'own-words',
      verdict: {
        reason: 'script_failure',
        class: 'dependency',
        retryable: true,
        explanation: 'The mirror did not answer.',
      },
    })
    expect((await ask('oops'))?.verdict).toMatchObject({ class: 'script', retryable: false })
    expect(await ask('all well')).toBeUndefined()
  })

  it.each([
    [{}, 'patterns', 'must be a list'],
    [{ patterns, level: 1 }, 'level', 'unknown key'],
    [{ patterns: ['x'] }, 'patterns.0', 'must be a table'],
    [{ patterns: [{ ...patterns[1], regex: 'x' }] }, 'patterns.0.regex', 'unknown key'],
    [{ patterns: [{ contains: '', explanation: 'x' }] }, 'patterns.0.contains', 'must be a text'],
    [{ patterns: [patterns[0], { contains: 'x' }] }, 'patterns.1.explanation', 'must be a text'],
    [{ patterns: [{ ...patterns[1], class: 'constructor' }] }, 'patterns.0.class', 'must be one of script'],
  ])('refuses %j', async (config, key, message) => {
    await using bench = new PluginBench()
    const { lastError } = await bench.loadOne(example('classifier-own-words', config))
    expect(lastError).toContain(`plugin classifier.own-words: config key "${key}": ${message}`)
  })
})

describe('exporter-lines', () => {
  const lines = (file: string) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as ExportedEvent)

  it('appends each event once, whatever is sent again and wherever it was cut off', async () => {
    await using box = await startTestCore('sqlite')
    await using bench = new PluginBench()
    const file = path.join(bench.folder, 'events.jsonl')
    const core: Core = { ...box.core, clock: bench.clock }
    const say = (count: number) =>
      core.store.write(async (tx) => {
        for (let i = 0; i < count; i++) await record(core, tx, { kind: 'job.changed', jobId: i })
      })
    const has = async (count: number) => {
      while (!existsSync(file) || lines(file).length < count) {
        bench.clock.advance(50)
        await turn()
      }
    }
    const first = await bench.load([example('exporter-lines', { file })])
    await first.startExporters(core)
    await say(700)
    await has(700)
    await first.close()
    const ids = lines(file).map(({ id }) => id)
    expect(new Set(ids).size).toBe(700)

    // A crash in the middle of a line, and before the place was saved.
    writeFileSync(file, readFileSync(file, 'utf8').trimEnd().slice(0, -5))
    const whole = lines(file).length
    await box.core.store.write((tx) =>
      tx.db
        .updateTable('exporter_cursors')
        .set({ event_id: (ids[0] ?? 0) - 1 })
        .execute(),
    )
    const second = await bench.load([example('exporter-lines', { file })])
    await second.startExporters(core)
    await say(1)
    await has(701)
    expect(whole).toBe(699)
    expect(lines(file).map(({ id }) => id)).toEqual([...ids, (ids.at(-1) ?? 0) + 1])
    expect(second.list()[0]).toMatchObject({ state: 'ready', failures: 0 })
  })

  it('is degraded where its file cannot be', async () => {
    await using bench = new PluginBench()
    const status = await bench.loadOne(example('exporter-lines', { file: path.join(bench.folder, 'no/such/folder') }))
    expect(status).toMatchObject({ state: 'degraded', hooks: [] })
    expect(status.lastError).toMatch(/ENOENT/)
  })
})

describe('executor-nice', () => {
  const session = 'job-1'
  async function prepared(bench: PluginBench) {
    bench.write('job', { 'build/.keep': '', 'temp/.keep': '' })
    const folders = { build: path.join(bench.folder, 'job/build'), temp: path.join(bench.folder, 'job/temp') }
    const { plugins } = await bench.loadOne(example('executor-nice', { level: 7 }))
    const facts = { executor: 'nice', platform: 'linux', architecture: 'amd64', features: ['artifacts'] }
    expect(await plugins.capabilitiesOf(facts)).toEqual(['artifacts', 'variables', 'shared'])
    const runner = plugins.executor('nice')!.runner!
    expect(await runner.prepare(prepareInput(session, folders), noOutput)).toMatchObject({
      shell: 'bash',
      facts: { niceness: '7' },
    })
    const chunks: Buffer[] = []
    const run = (script: string) =>
      runner.run({ session, stage: 'step_script', script, env: { NAME: 'box' }, cwd: folders.build }, async (chunk) => {
        chunks.push(Buffer.from(chunk))
      })
    return { runner, run, output: () => Buffer.concat(chunks).toString() }
  }

  it('runs a script in its folder with its variables, at a lower priority', async () => {
    await using bench = new PluginBench()
    const { runner, run, output } = await prepared(bench)
    expect(await run('echo "$NAME at $(nice) in $(basename "$PWD")"; echo oops >&2; exit 3')).toEqual({
      exitCode: 3,
      signal: null,
    })
    // The tests themselves may have been started at a lower priority.
    expect(output()).toContain(`box at ${Math.min(19, os.getPriority() + 7)} in build\n`)
    expect(output()).toContain('oops\n')
    expect(await run('kill -9 $$')).toEqual({ exitCode: null, signal: 'SIGKILL' })
    await runner.cleanUp({ session })
    await expect(run('true')).rejects.toThrow('session job-1 is not prepared')
  })

  it('asks what it runs to end, and makes it end, with all that it has started', async () => {
    await using bench = new PluginBench()
    const { runner, run, output } = await prepared(bench)
    const polite = run(`trap 'echo asked; exit 5' TERM; sleep 600 & echo begun; wait`)
    while (!output().includes('begun')) await turn()
    await runner.cancel({ session, graceMs: 20_000 })
    expect(await polite).toEqual({ exitCode: 5, signal: null })
    expect(output()).toContain('asked')

    const stubborn = run(`trap '' TERM; sleep 600 & echo "pid $!"; wait`)
    while (!output().includes('pid ')) await turn()
    await runner.cancel({ session, graceMs: 0 })
    expect(await stubborn).toEqual({ exitCode: null, signal: 'SIGKILL' })
    const pid = Number(/pid (\d+)/.exec(output())?.[1])
    expect(existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z')).toBe(false)
    await runner.cleanUp({ session })
  })
})
