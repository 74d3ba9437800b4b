/** Who may import whom. A change of these rules is a decision record. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const src = path.resolve('src')

interface Import {
  from: string
  /** A module of ours by its path under `src`, or the name of a package. */
  to: string
  typeOnly: boolean
}

function importsOf(file: string): Import[] {
  const text = readFileSync(path.join(src, file), 'utf8')
  const found: Import[] = []
  const statement =
    /^\s*(?:import|export)\s+(type\s+)?([^'";]*?)from\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm
  for (const match of text.matchAll(statement)) {
    const name = match[3] ?? match[4] ?? match[5]!
    const to = name.startsWith('.')
      ? path.relative(src, path.resolve(src, path.dirname(file), name)).replace(/\.js$/, '')
      : name
    // `{ type A, type B }` is of types only, too.
    const named = match[2]
      ?.match(/^\{([^}]*)\}\s*$/)?.[1]
      ?.split(',')
      .filter((one) => one.trim() !== '')
    const typeOnly = match[1] !== undefined || (named?.every((one) => /^\s*type\s/.test(one)) ?? false)
    found.push({ from: file, to, typeOnly })
  }
  return found
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.tsx?$/.test(file) && !file.startsWith('gen/'))
  .sort()
const imports = files.flatMap(importsOf)

/** The room a module is in: its first folder, or its own name at the top. */
const roomOf = (module: string) => module.split('/')[0]!.replace(/\.ts$/, '')
const isOurs = ({ to }: Import) => files.includes(`${to}.ts`) || to.startsWith('gen/')

/** Each room, and the rooms and modules that it may import from. */
const allowed: Record<string, (string | RegExp)[]> = {
  core: [],
  transports: ['core', 'gen', 'tls-files'],
  http: ['core'],
  shim: ['core', 'http', 'gen', 'package-root'],
  api: ['core', 'http'],
  git: ['core', 'http'],
  forges: ['core', 'http'],
  webhooks: ['core', 'http'],
  plugins: [/^core\//],
  conformance: ['gen'],
  runner: ['gen', 'package-root', /^plugins\/sdk$/],
  server: [
    'core',
    'transports',
    'shim',
    'api',
    'git',
    'forges',
    'webhooks',
    'plugins',
    'config',
    'data-folder',
    'backup',
    'lazy',
    'faults',
    'raw-sockets',
    'front',
    'tls-files',
    'page',
  ],
  faults: ['core'],
  front: ['core', 'raw-sockets', 'tls-files'],
  'tls-files': ['core', 'config'],
  page: ['core', 'package-root'],
  web: [],
  'raw-sockets': ['core'],
  backup: ['core', 'data-folder'],
  restore: ['data-folder'],
  config: ['core'],
  'data-folder': ['core', 'config'],
  sim: ['core', 'transports', 'shim', 'http', 'gen'],
  cli: [
    'server',
    'faults',
    'runner',
    'core',
    'config',
    'data-folder',
    'restore',
    'package-root',
    'plugins',
    'sim',
    'conformance',
  ],
}

/** The strongly connected parts of more than one module, by Tarjan's algorithm. */
function circles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = []
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const visit = (node: string): void => {
    order.set(node, order.size)
    low.set(node, order.get(node)!)
    stack.push(node)
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) visit(next)
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!))
    }
    if (low.get(node) !== order.get(node)) return
    const circle = stack.splice(stack.indexOf(node))
    if (circle.length > 1) found.push(circle.sort())
  }
  for (const node of edges.keys()) if (!order.has(node)) visit(node)
  return found
}

/** By module of ours, those that it imports. */
function graphOf(list: readonly Import[]): Map<string, string[]> {
  const known = new Set(files.map((file) => file.replace(/\.ts$/, '')))
  const edges = new Map<string, string[]>()
  for (const { from, to } of list) {
    if (!known.has(to)) continue
    const name = from.replace(/\.ts$/, '')
    edges.set(name, [...(edges.get(name) ?? []), to])
  }
  return edges
}

const corePackages = new Set([
  ...['croner', 'yaml', 're2js', 'sax', 'kysely', 'better-sqlite3', 'pg', 'yauzl'],
  ...['semver/functions/compare.js', 'semver/functions/parse.js', 'semver/functions/valid.js'],
  ...['@aws-sdk/client-s3', '@aws-sdk/lib-storage', '@aws-sdk/s3-request-presigner'],
])

describe('imports', () => {
  it('cross rooms only where the design says so', () => {
    const wrong = imports.filter(isOurs).filter((one) => {
      const [from, to] = [roomOf(one.from), roomOf(one.to)]
      if (from === to) return false
      return !(allowed[from] ?? []).some((rule) => (typeof rule === 'string' ? rule === to : rule.test(one.to)))
    })
    expect(wrong.map((one) => `${one.from} → ${one.to}`)).toEqual([])
  })

  it('keep protocols and frameworks out of core', () => {
    const wrong = imports.filter(
      (one) => one.from.startsWith('core/') && !isOurs(one) && !one.to.startsWith('node:') && !corePackages.has(one.to),
    )
    expect(wrong.map((one) => `${one.from} → ${one.to}`)).toEqual([])
  })

  it('keep the database drivers and kysely in core/store', () => {
    const drivers = ['kysely', 'better-sqlite3', 'pg']
    const wrong = imports.filter(
      (one) => drivers.includes(one.to) && !one.typeOnly && !one.from.startsWith('core/store/'),
    )
    expect(wrong.map((one) => `${one.from} → ${one.to}`)).toEqual([])
  })

  it('keep columns in core/store, also where nothing of kysely is imported', () => {
    const wrong = files.filter(
      (file) =>
        !file.startsWith('core/store/') &&
        /\.db\b(?!['"`])|\{[^}\n]*\bdb\b[^}\n]*\} = /.test(readFileSync(path.join(src, file), 'utf8')),
    )
    expect(wrong).toEqual([])
  })

  it('keep the tables, the language, matching and order pure', () => {
    const pure = /^core\/(lifecycle\/|ci-config\/|scheduler\/(match|order)\.ts)/
    const wrong = imports.filter((one) => {
      if (!pure.test(one.from) || one.typeOnly) return false
      if (/worker/.test(one.from)) return one.to.startsWith('core/store') || one.to.startsWith('core/operations')
      if (isOurs(one)) return !/^core\/(lifecycle|ci-config|errors|runner)/.test(one.to)
      return !['yaml', 're2js'].includes(one.to) && !one.to.startsWith('node:')
    })
    expect(wrong.map((one) => `${one.from} → ${one.to}`)).toEqual([])
  })

  it('load the schema of the settings for the coordinator alone, whose start is not waited for', () => {
    const outside = imports.filter((one) => /^config\/(?!settings$)/.test(one.to) && !one.from.startsWith('config/'))
    const importers = new Set(outside.map((one) => one.from))
    expect(importers).toEqual(
      new Set([
        ...['cli/commands/serve.ts', 'cli/executor.ts', 'cli/commands/runner-start.ts', 'cli/runner-service.ts'],
        // For commands that nobody types in a hurry.
        ...['cli/runner-file-of.ts', 'cli/write-runner-file.ts', 'cli/commands/runner-host.ts'],
        ...['cli/commands/runner-prune.ts'],
      ]),
    )
    const schemas = imports.filter((one) => one.to.startsWith('zod') && !one.typeOnly).map((one) => one.from)
    expect(schemas.filter((file) => !file.startsWith('config/') && file !== 'shim/entities.ts')).toEqual([])
    const entities = imports.filter((one) => one.to === 'shim/entities')
    expect(entities.filter((one) => !one.typeOnly)).toEqual([])
  })

  it('keep steps below operations', () => {
    const wrong = imports.filter((one) => one.from.startsWith('core/steps/') && one.to.startsWith('core/operations/'))
    expect(wrong.map((one) => `${one.from} → ${one.to}`)).toEqual([])
    const opening = files.filter(
      (file) => file.startsWith('core/steps/') && /\bstore\.write\(/.test(readFileSync(path.join(src, file), 'utf8')),
    )
    expect(opening, 'a step takes a transaction and never opens one').toEqual([])
  })

  it('go round in no circle of values', () => {
    expect(circles(graphOf(imports.filter((one) => !one.typeOnly)))).toEqual([])
  })

  it('go round in no circle of types through more than three files', () => {
    expect(circles(graphOf(imports)).filter((circle) => circle.length > 3)).toEqual([])
  })

  it('let a plugin see nothing but the surface for authors', () => {
    const plugin = /^plugins\/(executors|classifiers|exporters|admission)\//
    const wrong = imports.filter((one) => {
      if (!plugin.test(one.from) || !isOurs(one)) return false
      const own = one.from.split('/').slice(0, 3).join('/')
      return one.to !== 'plugins/sdk' && !one.to.startsWith(`${own}/`)
    })
    expect(wrong.map((one) => `${one.from} → ${one.to}`)).toEqual([])
  })

  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(300)
  })
})
