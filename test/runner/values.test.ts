import { expect, test } from 'vitest'
import { compileGlob } from '../../src/runner/artifacts/glob.js'
import { WindowedBackoff } from '../../src/runner/backoff.js'
import { shortToken } from '../../src/runner/identity.js'
import { formatDuration, parseDuration } from '../../src/runner/job/duration.js'
import { parsePayload } from '../../src/runner/job/payload.js'
import { quote } from '../../src/runner/job/script.js'
import { Variables } from '../../src/runner/job/variables.js'

test('expands variables as Go does', () => {
  const variable = (key: string, value: string) => ({
    key,
    value,
    file: false,
    masked: false,
    raw: false,
    public: true,
  })
  const variables = new Variables([variable('A', 'first'), variable('A', 'one'), variable('B_2', 'two')], '/tmp')
  const cases: [string, string][] = [
    ['$A', 'one'],
    [`\${A}`, 'one'],
    ['$A$B_2', 'onetwo'],
    ['$A.$B_2/x', 'one.two/x'],
    ['$AB', ''],
    [`\${A}B`, 'oneB'],
    ['$$A', '$A'],
    ['$1$@$#$*$!$?', ''],
    [`\${1}\${@}`, ''],
    ['cost: $ 5', 'cost: $ 5'],
    ['at the end $', 'at the end $'],
    [`\${A:-default}`, ''],
    [`\${}x`, 'x'],
    ['${A', 'A'],
    ['%A% ^A', '%A% ^A'],
  ]
  for (const [text, expanded] of cases) expect(variables.expand(text), text).toBe(expanded)
})

test('reads and writes durations as Go does', () => {
  const cases: [string, number | undefined][] = [
    ['1h30m', 5_400_000],
    ['90s', 90_000],
    ['1.5s', 1_500],
    ['250ms', 250],
    ['0', 0],
    ['-5s', -5_000],
    ['5', undefined],
    ['5 minutes', undefined],
    ['', undefined],
  ]
  for (const [text, ms] of cases) expect(parseDuration(text), text).toBe(ms)
  expect([1_000, 90_000, 3_600_000, 250].map(formatDuration)).toEqual(['1s', '1m30s', '1h0m0s', '0.25s'])
})

test('matches paths as doublestar does', () => {
  const cases: [string, string, boolean][] = [
    ['*.txt', 'a.txt', true],
    ['*.txt', 'd/a.txt', false],
    ['**/*.txt', 'a.txt', true],
    ['**/*.txt', 'd/e/a.txt', true],
    ['d/**', 'd', true],
    ['d/**', 'd/e/f', true],
    ['d/**', 'de', false],
    ['d/**/f', 'd/f', true],
    ['d/**/f', 'd/x/y/f', true],
    ['a**b', 'axxb', true],
    ['a**b', 'a/b', false],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['[a-c]x', 'bx', true],
    ['[!a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['{one,two}.txt', 'two.txt', true],
    ['{one,two/three}.txt', 'two/three.txt', true],
    ['{one,two}.txt', 'three.txt', false],
    ['a\\*b', 'a*b', true],
    ['a\\*b', 'axb', false],
    ['.*', '.hidden', true],
    ['*', '.hidden', true],
    ['a.b+c(d)', 'a.b+c(d)', true],
    ['ü*', 'übung', true],
    ['**', 'any/thing', true],
  ]
  for (const [pattern, path, matches] of cases) {
    expect(compileGlob(pattern).matches(path), `${pattern} on ${path}`).toBe(matches)
  }
})

test('waits in windows that grow, and begins anew after a success', () => {
  const draws = [0.5, 0.25, 0, 1, 0.5]
  const backoff = new WindowedBackoff(100, 400, () => draws.shift() ?? 0)
  // A draw inside the window, and what was left of the window before.
  expect([backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([50, 100, 150, 800])
  backoff.reset()
  expect(backoff.next()).toBe(50)
})

test('shows of a token what GitLab Runner shows', () => {
  expect(shortToken('glrt-t1_9fKq2ZxWv7LmTn3Rb8Yc')).toBe('9fKq2ZxWv')
  expect(shortToken('glrt-9fKq2ZxWv7LmTn3Rb8Yc')).toBe('9fKq2ZxWv')
  expect(shortToken('glrtr-9fKq2ZxWv7LmTn3Rb8Yc')).toBe('9fKq2ZxWv')
  expect(shortToken('abc')).toBe('abc')
})

test('quotes whatever a word may hold', () => {
  expect(quote(`it's "$HOME" \\n`)).toBe(`'it'\\''s "$HOME" \\n'`)
})

test('takes null for absent, and names the field that is wrong', () => {
  const parse = (value: unknown) => parsePayload(Buffer.from(JSON.stringify(value)))
  expect(
    parse({ id: 1, token: 't', variables: null, steps: null, image: null, artifacts: null, runner_info: null }),
  ).toMatchObject({
    id: 1,
    timeoutMs: 7_200_000,
    variables: [],
    image: undefined,
  })
  expect(() => parse({ id: '1' })).toThrow('payload.id must be a number')
  expect(() => parse({ steps: [{ script: [1] }] })).toThrow('payload.steps[0].script must be a list of strings')
  expect(() => parse([])).toThrow('payload must be an object')
  expect(() => parsePayload(Buffer.from('{'))).toThrow('the payload is not JSON')
})
