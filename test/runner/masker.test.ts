import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ByteFilter, SecretMasker, TokenMasker } from '../../src/runner/job/masker.js'

test('masks every secret, and those that overlap as one', () => {
  const cases: [string[], string, string][] = [
    [['secret'], 'a secret is a secret', 'a [MASKED] is a [MASKED]'],
    [['abcd', 'cdef'], 'xabcdefx', 'x[MASKED]x'],
    [['abcd', 'bc'], 'xabcdx abc', 'x[MASKED]x a[MASKED]'],
    [['aa'], 'aaaaa', '[MASKED]'],
    [['ab'], 'abab', '[MASKED][MASKED]'],
    [['käse'], 'mein käse', 'mein [MASKED]'],
    [['line\nbreak'], 'a line\nbreak', 'a [MASKED]'],
    [[], 'nothing', 'nothing'],
    [[''], 'nothing', 'nothing'],
  ]
  for (const [secrets, text, masked] of cases) expect(run(new SecretMasker(secrets), [text])).toBe(masked)
})

test('holds nothing back that cannot be the beginning of a secret', () => {
  const masker = new SecretMasker(['secret'])
  expect(masker.push(Buffer.from('a line\n')).toString()).toBe('a line\n')
  expect(masker.push(Buffer.from('se')).toString()).toBe('')
  expect(masker.push(Buffer.from('ven')).toString()).toBe('seven')
})

test('masks the same however the text is cut', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 60 })
  const secrets = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 5 }), {
    maxLength: 3,
  })
  const cuts = fc.array(fc.nat(60), { maxLength: 6 })
  fc.assert(
    fc.property(letters, secrets, cuts, (text, given, at) => {
      const whole = run(new SecretMasker(given), [text])
      expect(run(new SecretMasker(given), pieces(text, at))).toBe(whole)
      expect(run(new SecretMasker(given), text.split(''))).toBe(whole)
    }),
    { numRuns: 200 },
  )
})

test('leaves no secret in what comes out', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 60 })
  const secret = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 2, maxLength: 5 })
  fc.assert(
    fc.property(letters, secret, fc.array(fc.nat(60), { maxLength: 6 }), (text, given, at) => {
      const out = run(new SecretMasker([given]), pieces(text, at))
      expect(out.split('[MASKED]').some((part) => part.includes(given))).toBe(false)
    }),
  )
})

test('does not fill memory with what could be a secret for ever', () => {
  const masker = new SecretMasker(['aaaa'])
  let out = 0
  for (let count = 0; count < 4; count++) out += masker.push(Buffer.alloc(64 * 1024, 'a')).length
  expect(out).toBeGreaterThan(0)
})

test('masks tokens by their prefixes, however they are cut', () => {
  const text = 'use glpat-abc_DEF-1.2=3 or sbk-xyz, glcbt-; end glrt-'
  const masked = 'use glpat-[MASKED] or sbk-[MASKED], glcbt-; end glrt-'
  expect(run(new TokenMasker(['sbk-']), [text])).toBe(masked)
  expect(run(new TokenMasker(['sbk-']), text.split(''))).toBe(masked)
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (at) => {
      expect(run(new TokenMasker(['sbk-']), pieces(text, at))).toBe(masked)
    }),
  )
})

function run(filter: ByteFilter, chunks: readonly string[]): string {
  const out = chunks.map((chunk) => filter.push(Buffer.from(chunk)))
  return Buffer.concat([...out, filter.end()]).toString()
}

function pieces(text: string, at: readonly number[]): string[] {
  const edges = [0, ...at.filter((each) => each <= text.length).toSorted((a, b) => a - b), text.length]
  return edges.slice(1).map((edge, index) => text.slice(edges[index], edge))
}
