import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { compileConfig } from '../../../src/core/ci-config/compile.js'
import { CompileWorker, compileInWorker } from '../../../src/core/ci-config/compile-in-worker.js'
import type { CompileOptions } from '../../../src/core/ci-config/plan.js'

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

function scriptOf(body: string): URL {
  const path = join(folder, `${body.length}.mjs`)
  writeFileSync(path, `import { parentPort } from 'node:worker_threads'\nparentPort.on('message', () => { ${body} })\n`)
  return pathToFileURL(path)
}

async function withWorker(worker: CompileWorker, act: (worker: CompileWorker) => Promise<void>): Promise<void> {
  try {
    await act(worker)
  } finally {
    await worker.close()
  }
}

test('a worker gives what the thread itself gives, includes asked for over messages', async () => {
  const source = 'include: [{local: a.yml, rules: [{exists: [x]}]}]\nbuild: {script: make, extends: .a}\n'
  const asked: string[] = []
  const options: CompileOptions = {
    fetchInclude: async (request) => {
      asked.push(request.kind === 'local' ? request.path : '')
      return { ok: true, content: '.a: {tags: [one], rules: [{if: $A =~ /^b+/}]}\n' }
    },
    listFiles: async () => ['x'],
  }
  await withWorker(new CompileWorker({}, script), async (worker) => {
    const inWorker = await worker.compile(source, options)
    expect(inWorker).toEqual(await compileConfig(source, options))
    expect(inWorker.ok).toBe(true)
    expect(asked).toEqual(['a.yml', 'a.yml'])
  })
})

test('tasks take turns in one thread, and an error is located', async () => {
  await withWorker(new CompileWorker({}, script), async (worker) => {
    const results = await Promise.all([worker.compile(simple, nothing), worker.compile('build: [', nothing)])
    expect(results).toMatchObject([{ ok: true }, { ok: false, errors: [{ line: 1, column: 8 }] }])
  })
})

test('an include that fails is told as in the thread', async () => {
  await withWorker(new CompileWorker({}, script), async (worker) => {
    const result = await worker.compile('include: a.yml\n', { fetchInclude: () => Promise.reject(new Error('secret')) })
    expect(result).toMatchObject({ ok: false, errors: [{ message: expect.stringContaining('could not be fetched') }] })
    expect(JSON.stringify(result)).not.toContain('secret')
  })
})

test('overtime ends the thread with an error in the file, and the next task has a new one', async () => {
  await withWorker(new CompileWorker({ milliseconds: 50 }, scriptOf('for (;;) {}')), async (worker) => {
    const results = await Promise.all([worker.compile(simple, nothing), worker.compile(simple, nothing)])
    for (const result of results) {
      expect(result).toMatchObject({
        ok: false,
        errors: [{ message: 'compiling takes longer than 50 ms', line: 1, column: 1 }],
      })
    }
  })
})

test('memory beyond the limit and crashes are errors in the file, too', async () => {
  const hoard = scriptOf('const all = []; for (;;) all.push(new Array(1000).fill(all.length))')
  await withWorker(new CompileWorker({ memoryMiB: 16 }, hoard), async (worker) => {
    expect(await worker.compile(simple, nothing)).toMatchObject({
      ok: false,
      errors: [{ message: 'compiling needs more than 16 MiB of memory' }],
    })
  })
  await withWorker(new CompileWorker({}, scriptOf('throw new Error("bug")')), async (worker) => {
    expect(await worker.compile(simple, nothing)).toMatchObject({
      ok: false,
      errors: [{ message: 'compiling crashed' }],
    })
  })
  await withWorker(new CompileWorker({}, scriptOf('process.exit(0)')), async (worker) => {
    expect(await worker.compile(simple, nothing)).toMatchObject({
      ok: false,
      errors: [{ message: 'compiling ended without a result' }],
    })
  })
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
    await withWorker(new CompileWorker({}, script), async (worker) => {
      expect(await worker.compile('include: a.yml\n', slow)).toMatchObject({ ok: true })
    })
  } finally {
    vi.useRealTimers()
  }
})

test('closing refuses what is unfinished and may be repeated', async () => {
  const worker = new CompileWorker({}, scriptOf('for (;;) { }'))
  const results = Promise.all([worker.compile(simple, nothing), worker.compile(simple, nothing)])
  await worker.close()
  await worker.close()
  expect((await results).map((result) => result.ok)).toEqual([false, false])
})

test('options that are no plain data are refused', async () => {
  await withWorker(new CompileWorker({}, script), async (worker) => {
    const result = await worker.compile(simple, { ...nothing, inputs: { a: () => 1 } })
    expect(result).toMatchObject({ ok: false, errors: [{ message: expect.stringContaining('plain data') }] })
    expect(await worker.compile(simple, nothing)).toMatchObject({ ok: true })
  })
})

test('run from sources, the shared worker compiles in this thread', async () => {
  expect(await compileInWorker(simple, nothing)).toMatchObject({ ok: true })
})
