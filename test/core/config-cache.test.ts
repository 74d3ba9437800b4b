import { beforeEach, expect, it } from 'vitest'
import type { CompileOptions, CompileResult } from '../../src/core/ci-config/compilation.js'
import { compileConfig } from '../../src/core/ci-config/compile.js'
import type { PlanVariable } from '../../src/core/ci-config/variables.js'
import { ConfigCache, type ConfigRequest } from '../../src/core/config/config-cache.js'
import type { Project, Repositories } from '../../src/core/project.js'

const sha = 'a'.repeat(40)
const app = { id: 1, fullPath: 'acme/app', configPath: '.gitlab-ci.yml', defaultBranch: 'main' } as Project
const lib = { id: 2, fullPath: 'acme/lib', configPath: '.gitlab-ci.yml', defaultBranch: 'main' } as Project

/** Files by `PROJECT SHA PATH`, refs by `PROJECT REF`. */
class Shelf {
  readonly files = new Map<string, string>()
  readonly refs = new Map<string, string>()
  tags: string[] = []
  compiled = 0
  mayRead = true

  readonly repositories = {
    commit: async () => ({ sha }),
    readFile: async ({ id }: Project, at: string, path: string) => this.files.get(`${id} ${at} ${path}`),
    listFiles: async () => [],
    listTags: async () => this.tags,
    changedSince: async () => ['docs/a.md'],
    resolve: async ({ id }: Project, ref: string) => {
      const found = this.refs.get(`${id} ${ref}`)
      return found === undefined ? undefined : { name: ref, tag: false, sha: found }
    },
  } as unknown as Repositories

  cache(limitBytes?: number): ConfigCache {
    return new ConfigCache({
      repositories: this.repositories,
      findProject: async (path) => (path === 'acme/lib' && this.mayRead ? lib : undefined),
      remote: undefined,
      externalUrl: () => 'https://ci.example.com',
      language: { compile: (source, options) => this.compile(source, options) },
      ...(limitBytes === undefined ? {} : { limitBytes }),
    })
  }

  compile(source: string, options: CompileOptions): Promise<CompileResult> {
    this.compiled++
    return compileConfig(source, options)
  }
}

let shelf: Shelf
let cache: ConfigCache
beforeEach(() => {
  shelf = new Shelf()
  cache = shelf.cache()
})

function write(text: string): void {
  shelf.files.set(`1 ${sha} .gitlab-ci.yml`, text)
}

async function load(variables: Record<string, string> = {}, more: Partial<ConfigRequest> = {}) {
  const list: PlanVariable[] = Object.entries(variables).map(([key, value]) => ({ key, value }))
  const { result } = await cache.load(app, sha, { user: null, variables: list, ...more })
  if (result?.ok) return (result.config.jobs as { name: string }[]).map(({ name }) => name).join(' ')
  return result?.errors.map(({ message }) => message).join(' ')
}

it('compiles a commit once, whatever variables the event has', async () => {
  write('a: {script: x}')
  expect(await load({ CI_PIPELINE_CREATED_AT: '1' })).toBe('a')
  expect(await load({ CI_PIPELINE_CREATED_AT: '2' })).toBe('a')
  expect(shelf.compiled).toBe(1)
})

it('compiles once for many that ask at the same time', async () => {
  write('a: {script: x}')
  expect(await Promise.all([load(), load(), load()])).toEqual(['a', 'a', 'a'])
  expect(shelf.compiled).toBe(1)
})

it('remembers that a commit has no file, and errors', async () => {
  expect(await load()).toBeUndefined()
  shelf.files.set(`1 ${sha} .gitlab-ci.yml`, 'a: {script: x}')
  expect(await load()).toBeUndefined()
  cache = shelf.cache()
  write('a: {scrip: x}')
  expect(await load()).toContain('script')
  await load()
  expect(shelf.compiled).toBe(1)
})

it('keeps files with includes of the same commit', async () => {
  write('include: part.yml')
  shelf.files.set(`1 ${sha} part.yml`, 'part: {script: x}')
  expect(await load()).toBe('part')
  expect(await load()).toBe('part')
  expect(shelf.compiled).toBe(1)
})

it('compiles again when a variable that an include looked at has another value, and keeps both', async () => {
  write('include: $WHICH.yml')
  shelf.files.set(`1 ${sha} one.yml`, 'one: {script: x}')
  shelf.files.set(`1 ${sha} two.yml`, 'two: {script: x}')
  for (let turn = 0; turn < 2; turn++) {
    expect(await load({ WHICH: 'one', OTHER: String(turn) })).toBe('one')
    expect(await load({ WHICH: 'two' })).toBe('two')
  }
  expect(shelf.compiled).toBe(2)
})

it('looks at variables of inputs, too', async () => {
  const header = `spec: {inputs: {name: {default: '$NAME'}}}\n---\n`
  write(`${header}"job-$[[ inputs.name | expand_vars ]]": {script: x}`)
  expect(await load({ NAME: 'a' })).toBe('job-a')
  expect(await load({ NAME: 'b' })).toBe('job-b')
})

it('compiles again when the ref of another project has moved, and only then', async () => {
  write('include: {project: acme/lib, file: lib.yml}')
  shelf.refs.set('2 main', 'b'.repeat(40))
  shelf.files.set(`2 ${'b'.repeat(40)} lib.yml`, 'old: {script: x}')
  shelf.files.set(`2 ${'c'.repeat(40)} lib.yml`, 'new: {script: x}')
  expect([await load(), await load()]).toEqual(['old', 'old'])
  expect(shelf.compiled).toBe(1)
  shelf.refs.set('2 main', 'c'.repeat(40))
  expect([await load(), await load()]).toEqual(['new', 'new'])
  expect(shelf.compiled).toBe(2)
})

it('gives nobody what was compiled for one who may read more', async () => {
  write('include: {project: acme/lib, file: lib.yml}')
  shelf.refs.set('2 main', 'b'.repeat(40))
  shelf.files.set(`2 ${'b'.repeat(40)} lib.yml`, 'old: {script: x}')
  expect(await load()).toBe('old')
  shelf.mayRead = false
  expect(await load()).toContain('project missing or access denied')
})

it('compiles again when rules of includes ask for changes, and these are others', async () => {
  write('include: [{local: a.yml, rules: [{changes: [a]}]}]\nown: {script: x}')
  shelf.files.set(`1 ${sha} a.yml`, 'a: {script: x}')
  const changed = (...paths: string[]) => load({}, { changedPaths: async () => paths })
  expect([await changed('a'), await changed('b'), await changed('a'), await load()]).toEqual([
    'a own',
    'own',
    'a own',
    'a own',
  ])
  expect(shelf.compiled).toBe(3)
})

it('compares with a ref for the rules of an include', async () => {
  write('include: [{local: a.yml, rules: [{changes: {paths: [docs/*], compare_to: main}}]}]\nown: {script: x}')
  shelf.files.set(`1 ${sha} a.yml`, 'a: {script: x}')
  expect(await load()).toContain('compare_to is not a valid ref')
  shelf.refs.set('1 main', 'b'.repeat(40))
  expect(await load()).toBe('a own')
})

it('keeps nothing that was cut short', async () => {
  write('a: {script: x}')
  shelf.compile = async () => {
    shelf.compiled++
    return { ok: false, errors: [{ message: 'compiling takes longer than 5000 ms', path: '' }], warnings: [] }
  }
  await load()
  await load()
  expect(shelf.compiled).toBe(2)
})

it('forgets what was not asked for lately', async () => {
  cache = shelf.cache(64 * 1024)
  const commit = (i: number) => String(i).padStart(40, '0')
  const loadAt = (i: number) => cache.load(app, commit(i), { user: null, variables: [] })
  for (let i = 0; i < 100; i++) shelf.files.set(`1 ${commit(i)} .gitlab-ci.yml`, 'a: {script: x}')
  for (let i = 0; i < 100; i++) await loadAt(i)
  await loadAt(99)
  expect(shelf.compiled).toBe(100)
  await loadAt(0)
  expect(shelf.compiled).toBe(101)
})

it('finds components of this server by version', async () => {
  const at = { main: 'b'.repeat(40), '1.9.0': 'c'.repeat(40), '1.10.0': 'd'.repeat(40) }
  for (const [ref, commit] of Object.entries(at)) {
    shelf.refs.set(`2 ${ref}`, commit)
    const component = 'spec: {component: [name, version, reference, sha]}\n---\n'
    const body = '"$[[ component.name ]] $[[ component.reference ]] $[[ component.sha ]]": {script: x}'
    shelf.files.set(`2 ${commit} templates/lint.yml`, component + body)
    shelf.files.set(`2 ${commit} templates/deep/template.yml`, 'deep: {script: x}')
  }
  shelf.tags = ['1.9.0', '1.10.0', '2.0.0-rc.1', 'nightly']
  const include = (name: string) => {
    cache = shelf.cache()
    write(`include: {component: "${name}"}`)
    return load({ CI_SERVER_FQDN: 'ci.example.com' })
  }
  expect(await include('$CI_SERVER_FQDN/acme/lib/lint@main')).toBe(`lint main ${at.main}`)
  expect(await include('ci.example.com/acme/lib/lint@1.9.0')).toBe(`lint 1.9.0 ${at['1.9.0']}`)
  expect(await include('ci.example.com/acme/lib/lint@1')).toBe(`lint 1 ${at['1.10.0']}`)
  expect(await include('ci.example.com/acme/lib/lint@~latest')).toBe(`lint ~latest ${at['1.10.0']}`)
  shelf.refs.set('2 v2.0.0', at.main)
  shelf.tags = ['1.10.0', 'v2.0.0', '2.0.0.1', '02.0.0', `3.0.${'0'.repeat(300)}`]
  expect(await include('ci.example.com/acme/lib/lint@~latest')).toBe(`lint ~latest ${at.main}`)
  shelf.tags = ['1.9.0', '1.10.0']
  expect(await include('ci.example.com/acme/lib/deep@1.9')).toBe('deep')
  expect(await include('ci.example.com/acme/lib/lint@3')).toContain('ref missing')
  expect(await include('ci.example.com/acme/lib/none@main')).toContain('file missing')
  expect(await include('ci.example.com/acme/secret/lint@main')).toContain('project missing or access denied')
  expect(await include('gitlab.com/acme/lib/lint@main')).toContain('components of gitlab.com are not available here')
  expect(await include('ci.example.com/lint@main')).toContain('HOST/GROUP/PROJECT/NAME@VERSION')
  expect(await include('ci.example.com/acme/lib/lint')).toContain('HOST/GROUP/PROJECT/NAME@VERSION')
})

it('fetches nothing from the web unless hosts are named', async () => {
  write('include: https://example.com/x.yml')
  expect(await load()).toContain('remote_hosts')
  cache = shelf.cache()
  write('include: {template: Go.gitlab-ci.yml}')
  expect(await load()).toContain('templates_url')
})
