/** Values from data that go into response headers. */
import { SignalboxError } from '../core/errors.js'

/** Throws `invalid` for a value that Node would refuse to send: control characters, or beyond Latin-1. */
export function headerValue(text: string): string {
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) throw new SignalboxError('invalid', 'a value does not fit into a header')
  return text
}

/** `Content-Disposition: attachment` with a name that every client reads: RFC 6266, RFC 8187. */
export function attachment(filename: string): string {
  const plain = filename.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(filename).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`
}

export interface ByteRange {
  /** First and last byte, both included. */
  start: number
  end: number
}

/**
 * The one range that a `Range` header asks of `size` bytes (RFC 9110 §14). Undefined: no range, or one in a unit that we
 * do not know, so the whole is sent. Throws `range_mismatch` for one that cannot be served, and for several at once.
 */
export function requestedRange(header: string | undefined, size: number): ByteRange | undefined {
  if (header === undefined || !header.startsWith('bytes=')) return undefined
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.slice(0, 64))
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? '']
  if (header.length > 64 || (first === '' && last === '')) throw unsatisfiable(size)
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (start >= size || start > end) throw unsatisfiable(size)
  return { start, end }
}

function unsatisfiable(size: number): SignalboxError {
  return new SignalboxError('range_mismatch', 'the range cannot be served', { details: { size } })
}
