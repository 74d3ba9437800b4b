/** The package as npm packs it, installed in an empty folder: what it holds, what it needs, and that it works there. */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'smol-toml'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventually } from './support/eventually.js'
import { Coordinator, git } from './support/processes.js'
import { Folder } from './support/run-folder.js'

const run = promisify(execFile)

interface Packed {
  filename: string
  unpackedSize: number
  files: { path: string; size: number }[]
}

interface Manifest {
  dependencies: Record<string, string>
  optionalDependencies: Record<string, string>
  devDependencies: Record<string, string>
  bin: { signalbox: string }
}

const here = mkdtempSync(path.join(os.tmpdir(), 'signalbox-package-'))
const installed = path.join(here, 'node_modules', 'signalbox')
const command = path.join(here, 'node_modules', '.bin', 'signalbox')
let packed: Packed
let manifest: Manifest

beforeAll(async () => {
  // Nothing is built again: the test runs what was built for it.
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', here]
  packed = JSON.parse((await run('npm', pack)).stdout)[0]
  mkdirSync(installed, { recursive: true })
  await run('tar', ['-xzf', path.join(here, packed.filename), '--strip-components=1', '-C', installed])
  manifest = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'))
  // What the package lists and nothing else, as npm would put it beside the package; the packages are those of this
  // checkout, with theirs behind the links. The optional ones are left out: nothing may need them.
  for (const name of Object.keys(manifest.dependencies))
    link(path.resolve('node_modules', name), `node_modules/${name}`)
  link(path.join(installed, manifest.bin.signalbox), 'node_modules/.bin/signalbox')
})
afterAll(() => rmSync(here, { recursive: true, force: true }))

function link(target: string, name: string): void {
  mkdirSync(path.dirname(path.join(here, name)), { recursive: true })
  symlinkSync(target, path.join(here, name))
}

it('is small, and holds what it is made of', () => {
  const names = packed.files.map((file) => file.path)
  expect(names.length).toBeLessThan(400)
  const size = packed.files.filter(({ path: name }) => !name.endsWith('.map')).reduce((sum, file) => sum + file.size, 0)
  expect(size).toBeLessThan(2_000_000)
  for (const name of [
    ...['README.md', 'LICENSE', 'package.json', 'docs/getting-started.md', 'docs/operations.md'],
    ...['dist/bundle/main.js', 'dist/bundle/worker.js', 'dist/plugins/sdk.js', 'dist/plugins/sdk.d.ts'],
    ...['proto/signalbox/runner/v1/runner.proto', 'examples/plugins/executor-nice/index.js'],
  ])
    expect(names).toContain(name)
})

it('lists exactly the packages that its bundle does not hold', () => {
  const folder = path.join(installed, 'dist/bundle')
  // A module by any name, and what a `require` under whatever name may ask for: one of the packages that we know.
  const imported = /\b(?:from|import|import\()\s*["'`]((?:@[\w.-]+\/)?\w[\w.-]*)(?:\/[\w./-]+)?["'`]/g
  const called = /[\w$)]\(["'`]((?:@[\w.-]+\/)?\w[\w.-]*)["'`]\)/g
  const ours = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.devDependencies }
  const needed = new Set<string>()
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.js'))) {
    const text = readFileSync(path.join(folder, file), 'utf8')
    for (const [, name] of text.matchAll(imported)) if (!isBuiltin(name!)) needed.add(name!)
    for (const [, name] of text.matchAll(called)) if (Object.hasOwn(ours, name!)) needed.add(name!)
  }
  const listed = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })
  expect([...needed].sort()).toEqual(listed.sort())
})

it('runs a pipeline', async () => {
  using folder = new Folder()
  await folder
    .write({
      '.gitlab-ci.yml': {
        hello: { script: ['echo "from $CI_JOB_NAME"'], rules: [{ if: '$CI_COMMIT_BRANCH =~ /^main$/' }] },
      },
    })
    .commit()
  const { stdout, stderr } = await run(command, ['run'], { cwd: folder.path })
  expect(stdout).toContain('hello | from hello\n')
  expect(stderr).toContain('pipeline ✓ success')
})

it('serves, with its doors and its document', async () => {
  await using box = await Coordinator.start({ program: command })
  expect(box.grpcUrl).toMatch(/^grpc:\/\/127\.0\.0\.1:\d+$/)
  const document = await box.api<{ paths: object }>('GET', '/api/v4/openapi.json')
  expect(document).toEqual(JSON.parse(readFileSync('docs/openapi.json', 'utf8')))
  const metrics = await (await fetch(`${box.url}/metrics`)).text()
  expect(metrics).toContain('signalbox_streams')
  expect(await box.stop()).toBe(0)
})

/** How each of the examples is used. */
const uses = {
  'executor-nice': { env: ['PATH', 'HOME'], config: { level: 1 } },
  'classifier-own-words': { config: { patterns: [{ contains: 'ETIMEDOUT', explanation: 'The mirror is away.' }] } },
  'exporter-lines': { config: { file: path.join(here, 'events.jsonl') } },
  'admission-freeze': { config: { from: '2000-01-01T00:00:00Z', until: '2100-01-01T00:00:00Z', refs: ['frozen'] } },
}
const idleBytes = 60 * 1024 ** 2

it('has an example of each kind, which do what they say for a team', async () => {
  expect(Object.keys(uses).toSorted()).toEqual(readdirSync(path.join(installed, 'examples/plugins')).toSorted())
  const plugins = Object.entries(uses).map(([name, how]) => ({
    use: `./node_modules/signalbox/examples/plugins/${name}`,
    ...how,
  }))
  const settings = path.join(here, 'signalbox.toml')
  writeFileSync(settings, stringify({ plugins }))
  await using box = await Coordinator.start({ program: command, flags: ['--config', settings] })
  const listed = () =>
    box.api<{ builtin: boolean; process: { resident_bytes: number } }[]>('GET', '/api/signalbox/v1/plugins')
  const theirs = async () =>
    (await listed()).filter(({ builtin }) => !builtin).map(({ process: { resident_bytes: bytes } }) => bytes)
  await eventually(async () => expect(Math.min(...(await theirs()))).toBeGreaterThan(0))
  expect(
    (await theirs()).map((bytes) => bytes <= idleBytes),
    (await theirs()).join(' '),
  ).toEqual([true, true, true, true])

  const clone = await box.repository('team/app', {
    '.gitlab-ci.yml': JSON.stringify({ fetch: { script: ['nice', 'echo connect ETIMEDOUT', 'exit 1'] } }),
  })
  await git(clone, 'push', '--quiet', 'origin', 'main', 'main:frozen')
  await box.runner('grpc', ['--executor', 'nice', '--config', settings])
  await eventually(async () => {
    const shown = await box.signalbox('job', 'show', '1')
    expect(shown.stdout).toContain('why: The mirror is away.')
  })
  expect((await box.signalbox('job', 'log', '1')).stdout).toMatch(/^1$/m)
  await eventually(async () => expect((await box.signalbox('job', 'why', '2')).stdout).toContain('freeze'))
  const written = () => readFileSync(path.join(here, 'events.jsonl'), 'utf8')
  await eventually(async () => expect(written()).toContain('"job.finished"'))
  expect(await box.stop()).toBe(0)
})

/** A kind takes some ten seconds: the suite has one of them, and one example. */
const long = process.env.SIGNALBOX_TEST_LONG === '1'
const kinds = ['classifier', ...(long ? ['executor', 'exporter', 'admission'] : [])]
const examples = long ? readdirSync('examples/plugins') : ['exporter-lines']

async function passesItsTests(name: string): Promise<void> {
  const cwd = path.join(here, name)
  const { stdout } = await run('npm', ['test'], { cwd })
  // Node 20 and 22 report in TAP where there is no terminal, 24 in words: https://nodejs.org/api/test.html#test-reporters
  expect(stdout).toMatch(/^[#ℹ] pass [1-9]/m)
  expect(stdout).toMatch(/^[#ℹ] fail 0$/m)
  const { stdout: report } = await run(command, ['plugin', 'check', '.'], { cwd })
  const broken = report.split('\n').filter((line) => line !== '' && !line.startsWith('✓ '))
  expect(broken).toEqual([])
}

it.each(kinds)('makes a new %s that passes its own tests and the check', async (kind) => {
  await run(command, ['plugin', 'new', kind, `my-${kind}`], { cwd: here })
  await passesItsTests(`my-${kind}`)
  const again = await run(command, ['plugin', 'new', kind, `my-${kind}`], { cwd: here }).catch((error) => error)
  expect(again).toMatchObject({ code: 5, stderr: `signalbox: my-${kind} is there already, and not empty\n` })
})

it.each(examples)('has the example %s, which passes its own tests and the check', async (name) => {
  cpSync(path.join(installed, 'examples/plugins', name), path.join(here, name), { recursive: true })
  await passesItsTests(name)
})

it('has types for authors of plugins', async () => {
  writeFileSync(
    path.join(here, 'plugin.mts'),
    `import { apiVersion, definePlugin, schema, type Verdict } from 'signalbox/plugin'
     import { checkPlugin, evidence, recordedEvents, startPlugin } from 'signalbox/plugin/testing'
     const typed = definePlugin({
       id: 'classifier.set',
       apiVersion,
       config: schema.table({ level: schema.whole({ default: 1 }) }),
       setup(host, { level }) {
         // @ts-expect-error a level is a number
         const text: string = level
         host.logger.info({ text }, 'set')
         return undefined
       },
     })
     const started = await startPlugin(typed, { config: { level: 3 } })
     const verdict: Verdict | undefined = await started.classify(evidence({ exitCode: 3 }))
     const ids: number[] = recordedEvents().map(({ id }) => id)
     const isOk: boolean = (await checkPlugin('.')).ok
     export const found = [verdict, ids, isOk]
     export default definePlugin({
       id: 'classifier.typed',
       apiVersion,
       setup(host) {
         host.classify('typed', ({ exitCode }): Verdict | undefined => {
           // @ts-expect-error an exit code is a number
           const text: string = exitCode
           return text ? undefined : undefined
         })
         return undefined
       },
     })\n`,
  )
  const compiler = path.resolve('node_modules/typescript/bin/tsc')
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node']
  const roots = ['--typeRoots', path.resolve('node_modules/@types')]
  await run(process.execPath, [compiler, ...options, ...roots, 'plugin.mts'], { cwd: here }).catch((error) => {
    throw new Error(error.stdout)
  })
})

it('says what to do where better-sqlite3 was not compiled', async () => {
  const bare = path.join(here, 'bare')
  const modules = path.join(bare, 'node_modules')
  cpSync(installed, path.join(modules, 'signalbox'), { recursive: true })
  const sqlite = path.resolve('node_modules/better-sqlite3')
  for (const part of ['lib', 'package.json']) {
    cpSync(path.join(sqlite, part), path.join(modules, 'better-sqlite3', part), { recursive: true })
  }
  const others = Object.keys(manifest.dependencies).filter((name) => name !== 'better-sqlite3')
  for (const name of [...others, 'bindings', 'file-uri-to-path']) {
    link(path.resolve('node_modules', name), `bare/node_modules/${name}`)
  }
  using folder = new Folder()
  await folder.write({ '.gitlab-ci.yml': { hello: { script: ['true'] } } }).commit()
  const start = path.join(modules, 'signalbox', manifest.bin.signalbox)
  for (const args of [['run'], ['serve', '--data-dir', path.join(bare, 'data')]]) {
    const failure = await run(process.execPath, [start, ...args], { cwd: folder.path }).catch((error) => error)
    expect(failure).toMatchObject({ code: 2, stdout: '' })
    expect(failure.stderr).toMatch(/^signalbox: better-sqlite3, which keeps the data, cannot be loaded by Node v\d+/m)
    expect(failure.stderr).toContain('npm rebuild better-sqlite3')
    expect(failure.stderr).not.toContain('internal fault')
  }
})
