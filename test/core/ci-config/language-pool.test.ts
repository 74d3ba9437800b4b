import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { CompileOptions, CompileResult } from '../../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { inThisThread, type LookUpFacts } from '../../../src/core/ci-config/language.js'
import { LanguagePool, languageThreads, packedOf } from '../../../src/core/ci-config/language-pool.js'
import { planPipeline } from '../../../src/core/ci-config/plan-pipeline.js'
import { push } from './events.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'signalbox-worker-'))
const script = pathToFileURL(join(folder, 'out/worker.js'))

/** A thread can only run JavaScript, so the module is built first, by the compiler that builds the product. */
beforeAll(() => {
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: false,
        sourceMap: false,
        rootDir: join(root, 'src/core/ci-config'),
        outDir: join(folder, 'out'),
        typeRoots: [join(root, 'node_modules/@types')],
      },
      include: [join(root, 'src/core/ci-config')],
    }),
  )
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const built = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], {
    encoding: 'utf8',
  })
  expect(built.stdout).toBe('')
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const nothing: CompileOptions = { fetchInclude: async () => ({ ok: false, reason: 'does not exist' }) }
const simple = 'build: {script: make}\n'
const noFacts: LookUpFacts = async () => ({})

function scriptOf(body: string): URL {
  const path = join(folder, `${body.length}.mjs`)
  const receive = `parentPort.on('message', ({ task }) => { ${body} })`
  writeFileSync(path, `import { parentPort } from 'node:worker_threads'\n${receive}\n`)
  return pathToFileURL(path)
}

async function withPool(pool: LanguagePool, act: (pool: LanguagePool) => Promise<void>): Promise<void> {
  try {
    await act(pool)
  } finally {
    await pool.close()
  }
}

function configOf(result: CompileResult) {
  if (!result.ok) throw new Error(JSON.stringify(result.errors))
  return result.config
}

test('a thread gives what this thread itself gives, includes asked for over messages', async () => {
  const source = 'include: [{local: a.yml, rules: [{exists: [x]}]}]\nbuild: {script: make, extends: .a}\n'
  const asked: string[] = []
  const options: CompileOptions = {
    fetchInclude: async (request) => {
      asked.push(request.kind === 'local' ? request.path : '')
      return { ok: true, content: '.a: {tags: [one], rules: [{if: $A =~ /^b+/}]}\n' }
    },
    listFiles: async () => ['x'],
    outline: true,
  }
  await withPool(new LanguagePool({}, script), async (pool) => {
    const inThread = await pool.compile(source, options, '')
    const here = await compileConfig(source, options)
    expect({ ...inThread, config: 0 }).toEqual({ ...here, config: 0 })
    expect({ ...configOf(inThread), packed: 0 }).toEqual({ ...configOf(here), document: undefined, packed: 0 })
    expect(asked).toEqual(['a.yml', 'a.yml'])
  })
})

test('a pipeline is planned here until that takes too many steps, then in a thread: with the same result', async () => {
  const source = 'one: {script: x, rules: [{if: $A =~ /^bb/, exists: [y]}]}\ntwo: {script: x, needs: [one]}\n'
  const asked: object[] = []
  const lookUp: LookUpFacts = async (wanted) => {
    asked.push(wanted)
    return { files: ['y'] }
  }
  const event = push('x', { variables: { A: 'bb' } })
  for (const limits of [{ stepsHere: 5 }, { bytesHere: 0 }]) {
    asked.length = 0
    await withPool(new LanguagePool(limits, script), async (pool) => {
      const config = configOf(await pool.compile(source, nothing, ''))
      expect(config.jobs === undefined).toBe('bytesHere' in limits)
      const planned = await pool.plan(config, event, lookUp, '')
      expect(planned).toEqual(
        await inThisThread.plan(configOf(await compileConfig(source, nothing)), event, lookUp, ''),
      )
      expect(planned.ok).toBe(true)
      expect(asked).toEqual(Array(2).fill({ changedPaths: false, files: true, compareTo: [], projects: [] }))
    })
  }
})

test('a small file is planned without a thread', async () => {
  await withPool(new LanguagePool({}, scriptOf('process.exit(1)')), async (pool) => {
    const config = configOf(await compileConfig(simple, nothing))
    expect(await pool.plan(config, push('x'), noFacts, '')).toEqual(planPipeline(config, push('x')))
  })
})

test('a look-up that fails fails the plan, and is no fault of the file', async () => {
  await withPool(new LanguagePool({ stepsHere: 0 }, script), async (pool) => {
    const config = configOf(await pool.compile('a: {script: x, rules: [{exists: [y]}]}\n', nothing, ''))
    const lookUp = () => Promise.reject(new Error('the repository is away'))
    await expect(pool.plan(config, push('x'), lookUp, '')).rejects.toThrow('the repository is away')
    expect(await pool.plan(config, push('x'), async () => ({ files: ['y'] }), '')).toMatchObject({ ok: true })
  })
})

test('rules that take too long are an error of the file', async () => {
  await withPool(new LanguagePool({ stepsHere: 0, milliseconds: 50 }, scriptOf('for (;;) {}')), async (pool) => {
    const config = configOf(await compileConfig(simple, nothing))
    expect(await pool.plan(config, push('x'), noFacts, '')).toMatchObject({
      ok: false,
      errors: [{ message: 'deciding the rules takes longer than 50 ms' }],
    })
    expect(await pool.coverage('1%', '\\d+%', '')).toBeNull()
  })
})

test('coverage is searched in a thread', async () => {
  await withPool(new LanguagePool({}, script), async (pool) => {
    expect(await pool.coverage('Total: 12.5%\nbye', 'Total: \\d+\\.\\d+%', '')).toBe(12.5)
    expect(packedOf(configOf(await pool.compile(simple, nothing, '')))).toBeInstanceOf(Uint8Array)
  })
})

/** Tells which task it is given, and is done when told so. */
const patient = `parentPort.postMessage({ kind: 'ask', question: 0, name: 'fetchInclude', args: [task?.source] })
  if (task === undefined) parentPort.postMessage({ kind: 'done', result: { result: { ok: false, errors: [], warnings: [] } } })`

test('one turn never has all threads, and turns go round', async () => {
  await withPool(new LanguagePool({ threads: 2 }, scriptOf(patient)), async (pool) => {
    const begun: string[] = []
    const open = new Map<string, () => void>()
    let wake = (): void => undefined
    const until = async (count: number): Promise<void> => {
      while (begun.length < count) await new Promise<void>((resolve) => (wake = resolve))
    }
    const compile = (source: string, turn: string) =>
      pool.compile(
        source,
        {
          fetchInclude: async () => {
            if (open.has(source)) return { ok: false, reason: '' }
            begun.push(source)
            wake()
            await new Promise<void>((resolve) => open.set(source, resolve))
            return { ok: false, reason: '' }
          },
        },
        turn,
      )
    const all = ['a1', 'a2', 'a3'].map((source) => compile(source, 'a'))
    all.push(compile('b1', 'b'), compile('c1', 'c'))
    await until(2)
    expect(begun.toSorted()).toEqual(['a1', 'b1'])
    open.get('b1')?.()
    await until(3)
    expect(begun.at(-1)).toBe('c1')
    open.get('a1')?.()
    await until(4)
    expect(begun.at(-1)).toBe('a2')
    open.get('c1')?.()
    open.get('a2')?.()
    await until(5)
    open.get('a3')?.()
    await Promise.all(all)
  })
})

test('tasks are done one after another, and an error is located', async () => {
  await withPool(new LanguagePool({ threads: 1 }, script), async (pool) => {
    const results = await Promise.all([pool.compile(simple, nothing, ''), pool.compile('build: [', nothing, '')])
    expect(results).toMatchObject([{ ok: true }, { ok: false, errors: [{ line: 1, column: 8 }] }])
  })
})

test('an include that fails is told as in this thread', async () => {
  await withPool(new LanguagePool({}, script), async (pool) => {
    const fetchInclude = () => Promise.reject(new Error('secret'))
    const result = await pool.compile('include: a.yml\n', { fetchInclude }, '')
    expect(result).toMatchObject({ ok: false, errors: [{ message: expect.stringContaining('could not be fetched') }] })
    expect(JSON.stringify(result)).not.toContain('secret')
  })
})

test('a thread that is kept from computing has more time, but not for ever', async () => {
  const slow =
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100); parentPort.postMessage({ kind: 'done' })"
  const idle = (): number => 0
  await withPool(new LanguagePool({ stepsHere: 0, milliseconds: 20 }, scriptOf(slow), idle), async (pool) => {
    const config = configOf(await compileConfig(simple, nothing))
    expect(await pool.plan(config, push('x'), noFacts, '')).toBeUndefined()
  })
  const limits = { milliseconds: 20, wallMilliseconds: 60 }
  await withPool(new LanguagePool(limits, scriptOf('for (;;) { }'), idle), async (pool) => {
    expect(await pool.compile(simple, nothing, '')).toMatchObject({
      ok: false,
      errors: [{ message: 'compiling takes longer than 20 ms' }],
    })
  })
})

test('overtime ends the thread with an error in the file, and the next task has a new one', async () => {
  await withPool(new LanguagePool({ milliseconds: 50 }, scriptOf('for (;;) { }')), async (pool) => {
    const results = await Promise.all([pool.compile(simple, nothing, ''), pool.compile(simple, nothing, '')])
    for (const result of results) {
      expect(result).toMatchObject({
        ok: false,
        errors: [{ message: 'compiling takes longer than 50 ms', line: 1, column: 1 }],
      })
    }
  })
})

test('memory beyond the limit and crashes are errors in the file, too', async () => {
  const problemOf = async (limits: object, body: string): Promise<unknown> => {
    let problem: unknown
    await withPool(new LanguagePool(limits, scriptOf(body)), async (pool) => {
      const result = await pool.compile(simple, nothing, '')
      problem = result.ok ? undefined : result.errors[0]?.message
    })
    return problem
  }
  const hoard = 'const all = []; for (;;) all.push(new Array(1000).fill(all.length))'
  expect(await problemOf({ memoryMiB: 16 }, hoard)).toBe('compiling needs more than 16 MiB of memory')
  expect(await problemOf({}, 'throw new Error("bug")')).toBe('compiling crashed')
  expect(await problemOf({}, 'process.exit(0)')).toBe('compiling ended without a result')
})

test('waiting for an include does not count as computing', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  try {
    const slow: CompileOptions = {
      fetchInclude: async () => {
        vi.advanceTimersByTime(60_000)
        return { ok: true, content: 'a: {script: x}\n' }
      },
    }
    await withPool(new LanguagePool({}, script), async (pool) => {
      expect(await pool.compile('include: a.yml\n', slow, '')).toMatchObject({ ok: true })
    })
  } finally {
    vi.useRealTimers()
  }
})

test('closing refuses what is unfinished and may be repeated', async () => {
  const pool = new LanguagePool({}, scriptOf('for (;;) {  }'))
  const results = Promise.all(Array.from({ length: 3 }, () => pool.compile(simple, nothing, '')))
  await pool.close()
  await pool.close()
  expect((await results).map((result) => result.ok)).toEqual([false, false, false])
})

test('options that are no plain data are refused', async () => {
  await withPool(new LanguagePool({}, script), async (pool) => {
    const result = await pool.compile(simple, { ...nothing, inputs: { a: () => 1 } }, '')
    expect(result).toMatchObject({ ok: false, errors: [{ message: expect.stringContaining('plain data') }] })
    expect(await pool.compile(simple, nothing, '')).toMatchObject({ ok: true })
  })
})

test('run from sources, everything is done in this thread', () => {
  expect(languageThreads()).toBe(inThisThread)
})
