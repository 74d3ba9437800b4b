/** The pages that explain the source name files that are there, and the walks through it can be walked. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const architecture = readFileSync('docs/architecture.md', 'utf8')

interface Stop {
  file: string
  /** How the walk gets there: a file above, and the interface it is called through if it is not imported. */
  via: string
}

const walks = architecture
  .slice(architecture.indexOf('## Four walks'))
  .split('\n### ')
  .slice(1)
  .map((section) => ({
    title: section.split('\n', 1)[0]!,
    stops: [...section.matchAll(/^\| `(src\/[^`]+)` \|.*\| ([^|]*)\|$/gm)].map(
      ([, file, via]): Stop => ({
        file: file!,
        via: via!.trim(),
      }),
    ),
  }))

/** Whether the first file imports the second. */
function imports(from: string, to: string): boolean {
  return [...readFileSync(from, 'utf8').matchAll(/from '(\.[^']+)\.js'/g)].some(
    ([, name]) => `${path.join(path.dirname(from), name!)}.ts` === to,
  )
}

/** Files and folders of ours that a page names, patterns and the placeholders of names left out. */
function named(page: string): string[] {
  const names = readFileSync(page, 'utf8').matchAll(/`((?:src|test|docs|proto|scripts)\/[\w./-]*)`/g)
  return [...new Set(Array.from(names, ([, name]) => name!))]
}

describe('the walks of docs/architecture.md', () => {
  it('are four, of at most six files each', () => {
    expect(walks.map(({ title }) => title)).toEqual([
      'A runner finished a job',
      'A poll gets a job',
      'A stream offers a job',
      'A job is canceled',
    ])
    for (const { stops, title } of walks) {
      expect(stops.length, title).toBeGreaterThan(2)
      expect(stops.length, title).toBeLessThanOrEqual(6)
    }
  })

  it.each(walks)('reach each file from one above it: $title', ({ stops }) => {
    for (const [at, { file, via }] of stops.entries()) {
      expect(existsSync(file), file).toBe(true)
      if (at === 0) continue
      const [, contract, name] = /^(?:as the `(\w+)` of )?`([^`]+)`$/.exec(via) ?? []
      const above = stops.slice(0, at).find((stop) => path.basename(stop.file) === name)?.file
      expect(above, `${file} via ${via}`).toBeDefined()
      if (contract === undefined) {
        expect(imports(above!, file), `${above} imports ${file}`).toBe(true)
      } else {
        expect(imports(file, above!), `${file} imports ${above}`).toBe(true)
        expect(readFileSync(file, 'utf8')).toMatch(new RegExp(`implements [^{]*\\b${contract}\\b`))
      }
    }
  })
})

describe('a file of src', () => {
  it('begins with a sentence that says what it is for', () => {
    // Migrations are frozen, and say it in their names.
    const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !/^gen\/|^core\/store\/migrations\//.test(file),
    )
    expect(files.length).toBeGreaterThan(500)
    const purpose = /^(#!.*\n)?\/\*\*[\s*]+[^\s*@][^@]{10,}?[.:][\s\S]*?\*\//
    expect(files.filter((file) => !purpose.test(readFileSync(path.join('src', file), 'utf8')))).toEqual([])
  })
})

describe('pages for those who work on the source', () => {
  const pages = ['docs/architecture.md', 'docs/glossary.md', 'CONTRIBUTING.md']

  it.each(pages)('name files that are there: %s', (page) => {
    const names = named(page)
    expect(names.length).toBeGreaterThan(10)
    expect(names.filter((name) => !existsSync(name))).toEqual([])
  })

  it('list every room', () => {
    const rooms = readdirSync('src', { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && entry.name !== 'gen',
    )
    expect(rooms.map(({ name }) => name).filter((name) => !architecture.includes(`\`${name}\``))).toEqual([])
  })

  it('list every decision', () => {
    const index = readFileSync('docs/decisions/README.md', 'utf8')
    const files = readdirSync('docs/decisions').filter((name) => /^\d{4}-.*\.md$/.test(name))
    expect(files.filter((name) => !index.includes(`](${name}) | 20`))).toEqual([])
    const listed = [...index.matchAll(/\]\((\d{4}-[^)]+)\)/g)].map(([, name]) => name!)
    expect(listed.filter((name) => !files.includes(name))).toEqual([])
  })
})
