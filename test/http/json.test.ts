import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/http/json.js'

/** The same as JSON.parse would give, to compare with: our maps have no prototype. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe('parseJson', () => {
  it('reads what JSON.parse reads', () => {
    const safe = fc
      .jsonValue({ maxDepth: 6 })
      .filter((value) => !/__proto__|constructor|prototype|\\u0000/.test(JSON.stringify(value)))
    fc.assert(
      fc.property(safe, fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space)
        expect(plain(parseJson(text))).toEqual(JSON.parse(text))
      }),
      { numRuns: 300 },
    )
  })

  it('refuses what JSON.parse refuses, and never throws anything but invalid', () => {
    const broken = fc.tuple(
      fc.json({ maxDepth: 3 }),
      fc.nat(),
      fc.constantFrom('', '"', '{', ']', '\\', ',', ':', '0', '\u0001', 'x'),
    )
    fc.assert(
      fc.property(broken, ([text, at, put]) => {
        const cut = text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + 1)
        let ours: unknown
        try {
          ours = plain(parseJson(cut))
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid' })
          return
        }
        expect(ours).toEqual(plain(JSON.parse(cut)))
      }),
      { numRuns: 500 },
    )
  })

  it('gives maps without a prototype', () => {
    const value = parseJson('{"a":{"b":1}}') as Record<string, object>
    expect(Object.getPrototypeOf(value)).toBeNull()
    expect(Object.getPrototypeOf(value.a)).toBeNull()
    expect('toString' in value).toBe(false)
  })

  it.each([
    ['a key twice', '{"a":1,"a":2}'],
    ['a key twice, once escaped', '{"a":1,"\\u0061":2}'],
    ['__proto__', '{"__proto__":{}}'],
    ['__proto__ in escapes', '{"\\u005f_proto__":{}}'],
    ['constructor', '{"x":{"constructor":1}}'],
    ['NUL', '"\\u0000"'],
    ['a raw line end in a text', '"a\nb"'],
    ['an escape that is none', '"\\x41"'],
    ['a number with a zero in front', '01'],
    ['a number too large', '1e999'],
    ['NaN', 'NaN'],
    ['a comment', '{/**/}'],
    ['a comma too many', '[1,]'],
    ['something behind', '1 1'],
    ['nothing', ''],
    ['a depth of 33', '['.repeat(34) + ']'.repeat(34)],
    ['2,001 items', `[${'1,'.repeat(2000)}1]`],
  ])('refuses %s', (_, text) => {
    expect(() => parseJson(text)).toThrow(/not valid/)
  })

  it('takes what is just within the limits', () => {
    expect(parseJson(`[${'1,'.repeat(1999)}1]`)).toHaveLength(2000)
    expect(parseJson(`"${'x'.repeat(256 * 1024)}"`)).toHaveLength(256 * 1024)
    expect(() => parseJson('['.repeat(32) + ']'.repeat(32))).not.toThrow()
    expect(parseJson(' \t\r\n"\\ud83d\\ude00\u007f\u0085" ')).toBe('😀\u007f\u0085')
  })
})
