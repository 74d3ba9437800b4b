/**
 * The house in figures: files and functions that fit on a screen or two, and exports that say what their names do not. What is
 * generated is left out. A figure that is missed names its worst offenders.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { type ESTree, parseSync, Visitor } from 'rolldown/utils'
import { expect, it } from 'vitest'

interface Measured {
  name: string
  lines: number
}

interface Exported {
  name: string
  documented: boolean
}

const linesOf = (text: string) => text.split('\n').length - (text.endsWith('\n') ? 1 : 0)

/** The smallest value that this share of the list does not exceed. */
function percentile(list: readonly Measured[], share: number): number {
  const sorted = list.map((one) => one.lines).sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}

/** The functions of a module that have a name: declared, kept under one, or a method. Those inside others count as well. */
function functionsOf(file: string, text: string, program: ESTree.Program): Measured[] {
  const found: Measured[] = []
  const add = (key: { start: number; end: number } | null, of: { start: number; end: number }) =>
    found.push({
      name: `${file} ${key ? text.slice(key.start, key.end) : 'default'}`,
      lines: linesOf(text.slice(of.start, of.end)),
    })
  const isFunction = (node: { type: string } | null) =>
    node?.type === 'ArrowFunctionExpression' || node?.type === 'FunctionExpression'
  new Visitor({
    FunctionDeclaration: (node) => void add(node.id, node),
    MethodDefinition: (node) => void add(node.key, node),
    VariableDeclarator: (node) => void (isFunction(node.init) && add(node.id, node.init!)),
    Property: (node) => void (isFunction(node.value) && add(node.key, node.value)),
    PropertyDefinition: (node) => void (isFunction(node.value) && add(node.key, node.value!)),
  }).visit(program)
  return found
}

/** What a module exports by declaring it, and whether a docstring stands right before it. */
function exportsOf(file: string, text: string, { program, comments }: ReturnType<typeof parseSync>): Exported[] {
  const docs = comments.filter((one) => one.type === 'Block' && one.value.startsWith('*'))
  return program.body.flatMap((node) => {
    if (node.type !== 'ExportNamedDeclaration' || !node.declaration) return []
    const { declaration } = node
    const names =
      declaration.type === 'VariableDeclaration'
        ? declaration.declarations.map((one) => text.slice(one.id.start, one.id.end).split(':')[0]!)
        : [declaration.type === 'TSModuleDeclaration' ? '' : (declaration.id?.name ?? '')]
    const documented = docs.some((doc) => doc.end <= node.start && text.slice(doc.end, node.start).trim() === '')
    return names.map((name) => ({ name: `${file} ${name}`, documented }))
  })
}

const src = path.resolve('src')
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !/^gen/.test(file) && !file.includes('migrations/'))
  .sort()
  .map((file) => ({ file, text: readFileSync(path.join(src, file), 'utf8') }))
const parsed = sources.map(({ file, text }) => ({ file, text, result: parseSync(file, text) }))
const files = sources.map(({ file, text }) => ({ name: file, lines: linesOf(text) }))
const functions = parsed.flatMap(({ file, text, result }) => functionsOf(file, text, result.program))
const exported = parsed.flatMap(({ file, text, result }) => exportsOf(file, text, result))

/** Fails with the longest ones unless this share of the list has at most so many lines. */
function expectAtMost(list: readonly Measured[], share: number, lines: number): void {
  const longest = [...list].sort((a, b) => b.lines - a.lines).slice(0, 15)
  const told = longest.map((one) => `${one.lines} ${one.name}`).join('\n')
  expect(percentile(list, share), `the longest of ${list.length}:\n${told}`).toBeLessThanOrEqual(lines)
}

it('has files of at most 90 lines at the median, and of 230 at the 90th percentile', () => {
  expectAtMost(files, 0.5, 90)
  expectAtMost(files, 0.9, 230)
})

it('has functions of at most 45 lines at the 99th percentile', () => {
  expectAtMost(functions, 0.99, 45)
})

it('documents four of five exports', () => {
  const bare = exported.filter((one) => !one.documented).map((one) => one.name)
  const share = 1 - bare.length / exported.length
  expect(share, `${bare.length} of ${exported.length} say nothing:\n${bare.join('\n')}`).toBeGreaterThanOrEqual(0.8)
})

it('counts as it says', () => {
  const text = [
    '/** A file. */',
    'import a from "a"',
    '',
    '/** Said. */',
    'export function one() {',
    '  const two = () => 2',
    '  return { three() { return two() } }',
    '}',
    'export interface Four {}',
    '/** Of both. */',
    'export const five = 5,',
    '  six = function () {',
    '  }',
    'class Seven {',
    '  eight = () => 8',
    '  nine() {}',
    '}',
    '',
  ].join('\n')
  const result = parseSync('a.ts', text)
  expect(functionsOf('a.ts', text, result.program)).toEqual([
    { name: 'a.ts one', lines: 4 },
    { name: 'a.ts two', lines: 1 },
    { name: 'a.ts three', lines: 1 },
    { name: 'a.ts six', lines: 2 },
    { name: 'a.ts eight', lines: 1 },
    { name: 'a.ts nine', lines: 1 },
  ])
  expect(exportsOf('a.ts', text, result)).toEqual([
    { name: 'a.ts one', documented: true },
    { name: 'a.ts Four', documented: false },
    { name: 'a.ts five', documented: true },
    { name: 'a.ts six', documented: true },
  ])
  const hundred = Array.from({ length: 100 }, (_, i) => ({ name: '', lines: i + 1 }))
  expect([0.5, 0.9, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([50, 90, 99, 100])
})
