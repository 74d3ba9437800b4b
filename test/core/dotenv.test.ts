import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { parseDotenv } from '../../src/core/payload/dotenv.js'

const limits = { bytes: 5120, variables: 20 }
const parse = (text: string | Buffer) =>
  Object.fromEntries(parseDotenv(Buffer.from(text), limits).map(({ key, value }) => [key, value]))

it('splits each line at its first =, strips blanks, and takes the last of two', () => {
  expect(parse('A=1\n B =  two words \nC=x=y\r\nD=\nA=2')).toEqual({ A: '2', B: 'two words', C: 'x=y', D: '' })
})

it('gives quotes, escapes, references and export no meaning', () => {
  expect(parse(`A="q"\nB=\\n\nC=$A`)).toEqual({ A: '"q"', B: '\\n', C: '$A' })
  expect(() => parse('export A=1')).toThrow('line 1')
})

it('reads gzip of one or several members, another encoding, and a byte order mark', () => {
  expect(parse(gzipSync('A=1\n'))).toEqual({ A: '1' })
  expect(parse(Buffer.concat([gzipSync('A=1\n'), gzipSync('B=2\n')]))).toEqual({ A: '1', B: '2' })
  expect(parse(Buffer.from([0xef, 0xbb, 0xbf, 0x41, 0x3d, 0x31]))).toEqual({ A: '1' })
  expect(parse(Buffer.from('A=\xe9', 'latin1'))).toEqual({ A: 'é' })
  expect(parse('')).toEqual({})
})

it.each([
  ['A=1\n\nB=2', 'line 2'],
  ['# a comment\nA=1', 'line 1'],
  ['A', 'line 1'],
  ['=1', 'line 1'],
  ['A-B=1', 'line 1'],
  ['Ä=1', 'line 1'],
  [`${'A'.repeat(256)}=1`, 'line 1'],
  ['A=\0', 'line 1'],
  [Array.from({ length: 21 }, (_, i) => `V${i}=x`).join('\n'), 'more than 20'],
  ['A='.padEnd(5120, 'x'), 'Too Big'],
  [gzipSync('A=1').subarray(0, 15), 'not gzip'],
  [gzipSync(`A=${'x'.repeat(2_000_000)}`), 'too large'],
])('refuses %j', (text, why) => {
  expect(() => parse(text)).toThrow(why)
})

it('takes UTF-16 of either order and UTF-8, each with a byte order mark, packed or not', () => {
  const text = '\uFEFFGREETING=Ä€😀\r\nB=2\r\n'
  const little = Buffer.from(text, 'utf16le')
  const big = Buffer.from(little).swap16()
  for (const file of [little, big, Buffer.from(text), gzipSync(little), gzipSync(big), gzipSync(text)]) {
    expect(parse(file)).toEqual({ GREETING: 'Ä€😀', B: '2' })
  }
  expect(() => parse(Buffer.from('\uFEFFno variable', 'utf16le'))).toThrow('line 1')
})
