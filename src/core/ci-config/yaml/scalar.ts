/** What unquoted YAML scalars mean. */
import { ConfigFault } from '../fault.js'
import { makeScalar, quote, type ScalarNode } from '../node.js'

/**
 * What an unquoted YAML scalar means. The dialect is the one of Ruby's Psych (ext/psych, lib/psych/scalar_scanner.rb),
 * which reads YAML 1.1 with some turns of its own; other readers differ most in `on`, octal and base-60 numbers.
 */
export function resolvePlain(text: string, at: number): ScalarNode {
  const first = text.charCodeAt(0)
  if (first > 0x39 || Number.isNaN(first)) {
    if (first === 0x3a) return makeScalar(symbolText(text), at)
    if (text.length > 5) return makeScalar(text, at)
    const word = words.get(text.toLowerCase())
    return makeScalar(word === undefined ? text : word, at)
  }
  return resolveNumber(text, at) ?? makeScalar(text, at)
}

const words = new Map<string, boolean | null>([
  ['', null],
  ['~', null],
  ['null', null],
  ['true', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['no', false],
  ['off', false],
])

/** `:name` is a symbol in Ruby; everywhere in the language it acts as the text `name`. */
function symbolText(text: string): string {
  if (text.length < 2) return text
  const quoted = /^:(["'])(.*)\1/.exec(text)
  return quoted?.[2] ?? text.slice(1)
}

const date = /^\d{4}-(?:1[012]|0\d|\d)-(?:[12]\d|3[01]|0\d|\d)$/
const time = /^-?\d{4}-\d{1,2}-\d{1,2}(?:[Tt]|\s+)\d{1,2}:\d\d:\d\d(?:\.\d*)?(?:\s*(?:Z|[-+]\d{1,2}:?(?:\d\d)?))?$/
const infinite = /^[-+]?\.inf$/i
const notANumber = /^\.nan$/i
const base60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}(\.[0-9_]*)?$/
const float = /^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][+-][0-9]+)?$/
const integer = /^[-+]?(?:0b[01_,]+|0[0-7_,]+|0|[1-9](?:[0-9]|,[0-9]|_[0-9])*|0x[0-9a-fA-F_,]+)$/

function resolveNumber(text: string, at: number): ScalarNode | undefined {
  if (text.length > 10_000) return undefined
  if (integer.test(text)) return integerNode(text, at)
  if (float.test(text)) return /^[-+]?\.$/.test(text) ? undefined : floatNode(Number(text.replace(/[,_]/g, '')), at)
  if (base60.test(text)) return base60Node(text, at)
  if (infinite.test(text)) return floatNode(text.startsWith('-') ? -Infinity : Infinity, at)
  if (notANumber.test(text)) return floatNode(Number.NaN, at)
  if (date.test(text)) throw dateFault(text, 'Date', at)
  if (time.test(text)) throw dateFault(text, 'Time', at)
  return undefined
}

function integerNode(text: string, at: number): ScalarNode | undefined {
  const negative = text.startsWith('-')
  const digits = text.replace(/[-+,_]/g, '')
  if (digits === '0b' || digits === '0x') return undefined
  const octal = digits.length > 1 && digits.startsWith('0') && !/[bx]/.test(digits)
  const magnitude = BigInt(octal ? `0o${digits.slice(1)}` : digits)
  const exact = negative ? -magnitude : magnitude
  const value = Number(exact)
  return makeScalar(value, at, Number.isSafeInteger(value) ? undefined : exact.toString())
}

/** The parts are hours, minutes and seconds, also when there are only two: Psych multiplies from the left. */
function base60Node(text: string, at: number): ScalarNode {
  const parts = text.replaceAll('_', '').split(':')
  const value = parts.reduce((sum, part, index) => sum + Number(part) * 60 ** (2 - index), 0)
  return text.includes('.') ? floatNode(value, at) : makeScalar(value, at)
}

export function floatNode(value: number, at: number): ScalarNode {
  return makeScalar(value, at, floatText(value))
}

/** Ruby's `Float#to_s`: always with a point, exponent form from 1e16 and below 1e-4. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  const size = Math.abs(value)
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
    const [mantissa = '', exponent = ''] = value.toExponential().split('e')
    const sign = exponent.startsWith('-') ? '-' : '+'
    return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${sign}${exponent.slice(1).padStart(2, '0')}`
  }
  const text = Object.is(value, -0) ? '-0' : String(value)
  return text.includes('.') ? text : `${text}.0`
}

function dateFault(text: string, kind: string, at: number): ConfigFault {
  return new ConfigFault(`unquoted ${quote(text)} is read as a ${kind}, which is not permitted; put it in quotes`, at)
}
