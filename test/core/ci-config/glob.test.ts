import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyExists } from '../../../src/core/ci-config/clauses.js'
import { anyMatches, compileGlob, matchesIncludePath } from '../../../src/core/ci-config/glob.js'
import { tries } from './property.js'

/** Measured with Ruby's File.fnmatch and the flags pathname, dotmatch, extglob. */
test.each([
  ['*.md', 'a.md', true],
  ['*.md', 'd/a.md', false],
  ['*.md', '.md', true],
  ['**/*.md', 'a.md', true],
  ['**/*.md', 'd/e/a.md', true],
  ['**/*.md', '.d/.a.md', true],
  ['**.md', 'a.md', true],
  ['**.md', 'd/a.md', false],
  ['docs/*', 'docs/a', true],
  ['docs/*', 'docs/a/b', false],
  ['docs/**', 'docs/a', true],
  ['docs/**', 'docs/a/b', false],
  ['docs/**/*', 'docs/a/b', true],
  ['docs/**/*', 'docs/a', true],
  ['docs', 'docs/a', false],
  ['docs/', 'docs/a', false],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['a/**b/c', 'a/xb/c', true],
  ['a/**b/c', 'a/x/b/c', false],
  ['**/', 'a', false],
  ['?.go', 'a.go', true],
  ['?.go', '/.go', false],
  ['a?c', 'a/c', false],
  ['[a-c].x', 'b.x', true],
  ['[!a-c].x', 'b.x', false],
  ['[^a-c].x', 'd.x', true],
  ['[]x].y', '].y', true],
  ['[a', '[a', true],
  ['*.{js,ts}', 'x.ts', true],
  ['*.{js,ts}', 'x.rs', false],
  ['{a,b/{c,d}}/e', 'b/d/e', true],
  ['{a,}b', 'b', true],
  ['{a', '{a', true],
  ['\\*.md', '*.md', true],
  ['\\*.md', 'a.md', false],
  ['Docker*', 'dockerfile', false],
  ['./a', 'a', false],
  ['/*.go', 'main.go', false],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-b-c-d', false],
  ['**/a/**/b', 'x/a/y/a/z/b', true],
])('%s and %s: %s', (pattern, path, expected) => {
  expect(compileGlob(pattern)(path)).toBe(expected)
})

test.each([
  ['configs/*.yml', 'configs/a.yml', true],
  ['configs/*.yml', 'configs/d/a.yml', false],
  ['configs/**.yml', 'configs/a.yml', true],
  ['configs/**.yml', 'configs/d/e/a.yml', true],
  ['configs/**/*.yml', 'configs/a.yml', false],
  ['configs/**/*.yml', 'configs/d/e/a.yml', true],
  ['*.yml', 'a.yaml', false],
  ['a*b*.yml', 'axbxb.yml', true],
])('include:local %s takes %s: %s', (pattern, path, expected) => {
  expect(matchesIncludePath(pattern, path)).toBe(expected)
})

describe('exists', () => {
  const files = ['Dockerfile', 'docs/a/b.md', 'src/x.go', '.env']
  const ask = (...patterns: string[]): boolean => anyExists(patterns, files, new Set(files))
  test.each([
    [['Dockerfile'], true],
    [['Docker'], false],
    [['docs/'], true],
    [['docs'], false],
    [['doc/'], false],
    [['/'], false],
    [['*.go'], false],
    [['**/*.go'], true],
    [['src/*.go'], true],
    [['nothing', '.env'], true],
    [[], false],
    [[''], false],
  ])('%j: %s', (patterns, expected) => {
    expect(ask(...patterns)).toBe(expected)
  })
})

test('too many comparisons count as a match without a look', () => {
  const paths = Array.from({ length: 1_001 }, (_, index) => `file ${index}`)
  const patterns = Array.from({ length: 50 }, () => 'nothing*')
  expect(anyMatches(patterns, paths)).toBe(true)
  expect(anyMatches(patterns.slice(1), paths)).toBe(false)
})

test('hostile patterns end quickly', () => {
  const start = performance.now()
  const path = 'a'.repeat(4_000)
  expect(compileGlob(`${'*a'.repeat(1_000)}b`)(path)).toBe(false)
  expect(compileGlob('{a,b}'.repeat(40))(path)).toBe(false)
  expect(compileGlob('{'.repeat(5_000))(path)).toBe(false)
  expect(compileGlob('**/'.repeat(2_000))(`${'a/'.repeat(2_000)}a`)).toBe(false)
  expect(matchesIncludePath(`${'*a'.repeat(200)}b`, path)).toBe(false)
  expect(performance.now() - start).toBeLessThan(5_000)
})

test('a path is matched by itself, with anything in it replaced by a star, and under two stars', () => {
  const name = fc.stringMatching(/^[a-z.]{1,6}$/)
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), fc.nat(3), (names, at) => {
      const path = names.join('/')
      const starred = names.map((one, index) => (index === at ? '*' : one)).join('/')
      expect(compileGlob(path)(path)).toBe(true)
      expect(compileGlob(starred)(path)).toBe(true)
      expect(compileGlob(`**/${names.at(-1)}`)(path)).toBe(true)
      expect(compileGlob(`{nothing,${path}}`)(path)).toBe(true)
      expect(compileGlob(path)(`${path}x`)).toBe(false)
    }),
    tries(300),
  )
})
