/** All parameters of a request: the query's and the body's, whatever form they have; the body's count. */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import { readBody } from './body.js'
import { foldPairs, readPairs } from './form.js'
import { emptyMap, type Json, type JsonMap, parseJson } from './json.js'
import { readFields } from './multipart.js'
import { Params } from './params.js'

export const bodyLimits = { bytes: 1024 * 1024, withinMs: 60_000 }

/** The media type of a `Content-Type`, without its parameters. */
export function mediaType(header: string | undefined): string {
  if (header === 'application/json') return header
  return (header?.split(';', 1)[0] ?? '').trim().toLowerCase()
}

/** The text after `?` of a request's target; empty if there is none. */
export function queryOf(target: string): string {
  const at = target.indexOf('?')
  return at === -1 ? '' : target.slice(at + 1)
}

/** Throws `invalid`, `too_large`, `unsupported_media_type`; `limits` hold for the body. */
export async function readParams(
  req: IncomingMessage,
  res: ServerResponse,
  clock: Clock,
  limits: { bytes: number; withinMs: number } = bodyLimits,
): Promise<Params> {
  const map = foldPairs(readPairs(queryOf(req.url ?? '')))
  if (!hasBody(req)) return new Params(map)
  const type = mediaType(req.headers['content-type'])
  if (type === 'multipart/form-data') {
    return new Params(merged(map, foldPairs(await readFields(req, res, clock, limits.bytes))))
  }
  const body = await readBody(req, res, clock, limits)
  return new Params(merged(map, parseBody(body, type)))
}

/** Whether a body comes with the request (RFC 9112 §6). */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** The parameters of a body. JSON may also be `null`, which some runners send for none. */
export function parseBody(body: Buffer, type: string): JsonMap {
  if (body.length === 0) return emptyMap()
  if (type !== 'application/json' && type !== 'application/x-www-form-urlencoded') {
    throw new SignalboxError('unsupported_media_type', 'the body must be JSON or a form')
  }
  if (!isUtf8(body)) throw new SignalboxError('invalid', 'the body is not valid UTF-8')
  const text = body.toString('utf8')
  if (type !== 'application/json') return foldPairs(readPairs(text))
  const value: Json = parseJson(text)
  if (value === null) return emptyMap()
  if (typeof value !== 'object' || Array.isArray(value)) throw new SignalboxError('invalid', 'the JSON is not a map')
  return value
}

function merged(query: JsonMap, body: JsonMap): JsonMap {
  return Object.assign(query, body)
}
