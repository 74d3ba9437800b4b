/** Errors as GitLab's REST answers them: one table from code to status, and the shapes of the bodies. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Core } from '../core/core.js'
import { type ErrorCode, SignalboxError } from '../core/errors.js'
import { lingerAfter } from './http/body.js'

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

/**
 * What HTTP tells apart beyond our codes. A request that was cut off is answered to nobody; 501 is not in the list of
 * statuses that GitLab's runner repeats.
 */
export const statusByRefinement = {
  gone: 400,
  too_slow: 408,
  method_not_allowed: 405,
  misdirected: 421,
  unprocessable: 422,
  not_implemented: 501,
} as const

export type Refinement = keyof typeof statusByRefinement

/** An error that HTTP has its own status for. */
export function refined(code: ErrorCode, refinement: Refinement, message: string): SignalboxError {
  return new SignalboxError(code, message, { details: { refinement } })
}

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

/** A refusal of one field in the shape of a failed validation: `{"message":{"path":["has already been taken"]}}`. */
export function wrongField(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid', `${field} ${message}`, { details: { field, message } })
}

export interface ErrorAnswer {
  status: number
  body: unknown
  headers: Record<string, string>
}

export function statusOf(error: SignalboxError): number {
  const { refinement } = error.details
  return typeof refinement === 'string' && Object.hasOwn(statusByRefinement, refinement)
    ? statusByRefinement[refinement as Refinement]
    : statusByCode[error.code]
}

/** The answer to an error. Never a stack, a query, a path or a secret: messages of SignalboxErrors are safe by contract. */
export function toErrorAnswer(error: SignalboxError): ErrorAnswer {
  const status = statusOf(error)
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

/**
 * Answers whatever was thrown while a request was handled, once and for all: logs what is our fault, lets the rest of an
 * unread body flow past, and does nothing if the answer has begun or the sender has gone.
 */
export function answerError(
  core: Core,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
  thrown: unknown,
  toAnswer: (error: SignalboxError) => ErrorAnswer & { type?: string } = toErrorAnswer,
): void {
  const error = SignalboxError.from(thrown)
  if (error.code === 'internal' || error.code === 'unavailable') {
    core.log.error({ err: error.cause ?? error, request_id: requestId, method: req.method }, 'a request failed')
  }
  if (res.headersSent) {
    // The length was promised already; nothing but a cut tells that the rest is missing.
    res.destroy()
    return
  }
  if (res.destroyed || error.details.refinement === 'gone') return
  const { status, body, headers, type = 'application/json' } = toAnswer(error)
  const text = JSON.stringify(body)
  res.writeHead(status, {
    ...headers,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
    ...(status === 408 ? { Connection: 'close' } : {}),
  })
  res.end(text)
  lingerAfter(req, core.clock)
}
