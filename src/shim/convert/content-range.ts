/** `Content-Range` of a part of a log: `0-13`, no unit, no total. */
import { SignalboxError } from '../../core/errors.js'

/**
 * Where the part begins. Only that counts: some runners send an end that is one too far, and curl's users any end. The end
 * must still be one, at the least the place before the start, which says that the part is empty.
 */
export function fromContentRange(header: string | undefined): number {
  if (header === undefined) throw wrong('Missing header Content-Range')
  const match = /^(\d{1,15})-(-1|\d{1,15})$/.exec(header)
  if (!match) throw wrong('Content-Range is not valid')
  const [start, end] = [Number(match[1]), Number(match[2])]
  if (end < start - 1) throw wrong('Content-Range is not valid')
  return start
}

function wrong(message: string): SignalboxError {
  return new SignalboxError('invalid', `400 ${message}`, { details: { verbatim: true } })
}
