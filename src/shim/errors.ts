/** Errors as GitLab's REST answers them: one table from code to status, and the shapes of the bodies. */
import { type ErrorCode, SignalboxError } from '../core/errors.js'
import { type ErrorAnswer, refinedStatus } from '../http/errors.js'

export const statusByCode = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  fenced: 403,
  range_mismatch: 416,
  too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  unavailable: 503,
  internal: 500,
} as const satisfies Record<ErrorCode, number>

/** `404 Project Not Found`, in GitLab's spelling. */
export function notFound(what?: string): SignalboxError {
  const message = what === undefined ? '404 Not Found' : `404 ${what} Not Found`
  return new SignalboxError('not_found', message, { details: { verbatim: true } })
}

/** `403 Forbidden`, with a reason if there is one to tell. */
export function forbidden(why?: string): SignalboxError {
  const message = why === undefined ? '403 Forbidden' : `403 Forbidden - ${why}`
  return new SignalboxError('forbidden', message, { details: { verbatim: true } })
}

/** The answer to an error. Never a stack, a query, a path or a secret: messages of SignalboxErrors are safe by contract. */
export function toErrorAnswer(error: SignalboxError): ErrorAnswer {
  const status = refinedStatus(error) ?? statusByCode[error.code]
  const { details } = error
  const headers: Record<string, string> = {}
  if (typeof details.jobStatus === 'string') headers['Job-Status'] = details.jobStatus
  if (error.code === 'range_mismatch' && typeof details.length === 'number') headers.Range = `0-${details.length}`
  if (error.code === 'range_mismatch' && typeof details.size === 'number') {
    headers['Content-Range'] = `bytes */${details.size}`
  }
  if (error.code === 'rate_limited') headers['Retry-After'] = `${Number(details.retryAfterS ?? 1)}`
  if (error.code === 'unavailable') headers['Retry-After'] = '1'
  if (typeof details.allow === 'string') headers.Allow = details.allow
  return { status, body: bodyOf(error, status), headers }
}

function bodyOf(error: SignalboxError, status: number): unknown {
  const { details, message } = error
  if (typeof details.scope === 'string') {
    return { error: 'insufficient_scope', error_description: message, scope: details.scope }
  }
  if (typeof details.parameter === 'string') return { error: message }
  if (typeof details.field === 'string') return { message: { [details.field]: [details.message] } }
  if (Array.isArray(details.errors)) return { message: { base: details.errors } }
  if (details.verbatim === true) return { message }
  if (error.code === 'rate_limited') return { message: { error: message } }
  if (status === 405 || status === 501) return { error: `${status} ${reasons[status]}` }
  const reason = reasons[status] ?? 'Error'
  const told = error.code === 'invalid' || error.code === 'too_large' || error.code === 'unsupported_media_type'
  return { message: told ? `${status} ${reason} - ${message}` : `${status} ${reason}` }
}

/** GitLab's spelling of the reasons. */
const reasons: Record<number, string> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  421: 'Misdirected Request',
  422: 'Unprocessable Entity',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
}
