/** Errors of our own API: problem documents (RFC 9457) with our code and the request's id. */
import { STATUS_CODES } from 'node:http'
import type { ErrorCode, SignalboxError } from '../core/errors.js'
import { type ErrorAnswer, refinedStatus } from '../http/errors.js'

export const statusByCode = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  fenced: 409,
  range_mismatch: 416,
  too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  unavailable: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>

/** The sentence is safe to show by contract; everything internal has a fixed one. */
export function toProblem(error: SignalboxError, requestId: string): ErrorAnswer {
  const { retryAfterS = error.code === 'unavailable' ? 1 : undefined, allow } = error.details
  const status = refinedStatus(error) ?? statusByCode[error.code]
  return {
    status,
    type: 'application/problem+json',
    headers: {
      ...(status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
      ...(typeof retryAfterS === 'number' ? { 'Retry-After': `${retryAfterS}` } : {}),
      ...(typeof allow === 'string' ? { Allow: allow } : {}),
    },
    body: {
      type: 'about:blank',
      title: STATUS_CODES[status] ?? 'Error',
      status,
      detail: error.message,
      code: error.code,
      request_id: requestId,
    },
  }
}
