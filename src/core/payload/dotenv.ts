/**
 * Variables that a job gives to those after it, as a `dotenv` report. Rules: gitlab
 * app/services/ci/parse_dotenv_artifact_service.rb. Quotes, escapes and `export` mean nothing; a comment or a blank line
 * is an error.
 */
import { isUtf8 } from 'node:buffer'
import { gunzipSync } from 'node:zlib'
import { SignalboxError } from '../errors.js'

export interface DotenvVariable {
  key: string
  value: string
}

export interface DotenvLimits {
  /** The stored file must have less. */
  bytes: number
  variables: number
}

const longestKey = 255
/** What a compressed file may grow to. */
const longestText = 1024 * 1024

/** Of a key that is given twice the last value counts. Throws `invalid` that names the line at fault. */
export function parseDotenv(file: Buffer, limits: DotenvLimits): DotenvVariable[] {
  if (file.length >= limits.bytes) throw wrong(`Dotenv Artifact Too Big. Maximum Allowable Size: ${limits.bytes}`)
  const variables = new Map<string, string>()
  const lines = textOf(file).split('\n')
  // Only what stands between line ends is a line: the last end has nothing after it.
  if (lines.at(-1) === '') lines.pop()
  for (const [i, line] of lines.entries()) {
    const at = line.indexOf('=')
    if (at < 0) throw wrong(`Invalid Format: line ${i + 1} has no =`)
    const key = line.slice(0, at).trim()
    if (!/^\w+$/.test(key) || key.length > longestKey) throw wrong(`Invalid Format: line ${i + 1} names no variable`)
    // A NUL ends texts elsewhere: in environments, and in one of the stores.
    if (line.includes('\0')) throw wrong(`Invalid Format: line ${i + 1} has a NUL`)
    variables.set(key, line.slice(at + 1).trim())
  }
  if (variables.size > limits.variables) {
    throw wrong(`Dotenv files cannot have more than ${limits.variables} variables`)
  }
  return Array.from(variables, ([key, value]) => ({ key, value }))
}

/** Of gzip, perhaps of several members in a row, or plain. PowerShell on Windows writes UTF-16 with a byte order mark. */
function textOf(file: Buffer): string {
  const bytes = file[0] === 0x1f && file[1] === 0x8b ? unzipped(file) : file
  const encoding = byteOrders.find(({ mark }) => bytes.subarray(0, 2).equals(mark))?.encoding
  // The decoder takes the mark off, and puts a replacement character for what is broken.
  return new TextDecoder(encoding ?? (isUtf8(bytes) ? 'utf-8' : 'latin1')).decode(bytes)
}

const byteOrders = [
  { mark: Buffer.from([0xff, 0xfe]), encoding: 'utf-16le' },
  { mark: Buffer.from([0xfe, 0xff]), encoding: 'utf-16be' },
]

function unzipped(file: Buffer): Buffer {
  try {
    return gunzipSync(file, { maxOutputLength: longestText })
  } catch (error) {
    throw wrong('Invalid Format: not gzip, or too large', error)
  }
}

function wrong(message: string, cause?: unknown): SignalboxError {
  return new SignalboxError('invalid', message, { details: { verbatim: true }, cause })
}
