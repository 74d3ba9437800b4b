/** What a forge means by an answer that is not 2xx. */
import type { IncomingHttpHeaders } from 'node:http'
import { ForgeError } from '../core/forge.js'
import type { Json } from '../http/json.js'

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: Json | undefined
}

/** `now`: in milliseconds since 1970, for times that the forge names. `what` begins the sentence. */
export function troubleOf(what: string, { status, headers, body }: Answer, now: number): ForgeError {
  const words = sentenceOf(body)
  const message = `${what} answered ${status}${words === '' ? '' : `: ${words}`}`
  const wait = waitOf(headers, now)
  if (status >= 300 && status < 400) return new ForgeError('moved', message)
  // GitHub says 403 also to those who ask too much: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
  const limited =
    status === 429 ||
    (status === 403 &&
      (headers['x-ratelimit-remaining'] === '0' || headers['retry-after'] !== undefined || /rate limit/i.test(words)))
  if (limited) return new ForgeError('limited', message, wait ?? 60_000)
  if (status === 401 || status === 403) return new ForgeError('refused', message)
  if (status === 404 || status === 410) return new ForgeError('missing', message)
  if (status >= 500 || status === 408) return new ForgeError('away', message, wait)
  return new ForgeError('rejected', message)
}

const longestWaitMs = 3_600_000

/** `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), or the second at which the forge counts anew. */
function waitOf(headers: IncomingHttpHeaders, now: number): number | undefined {
  const after = headers['retry-after']
  const reset = headers['x-ratelimit-reset'] ?? headers['ratelimit-reset']
  let ms: number | undefined
  if (after !== undefined && /^\d{1,9}$/.test(after)) ms = Number(after) * 1000
  else if (after !== undefined && !Number.isNaN(Date.parse(after))) ms = Date.parse(after) - now
  else if (typeof reset === 'string' && /^\d{1,12}$/.test(reset)) ms = Number(reset) * 1000 - now
  return ms === undefined ? undefined : Math.min(longestWaitMs, Math.max(1000, ms))
}

const longestWords = 200

/** What the forge says of it, on one line. */
function sentenceOf(body: Json | undefined): string {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return ''
  const { message = body.error } = body
  const text = typeof message === 'string' ? message : message === undefined ? '' : JSON.stringify(message)
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, longestWords)
}
