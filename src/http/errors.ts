/** What every HTTP door does about errors: statuses that only HTTP knows, and the one place where an error is answered. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Core } from '../core/core.js'
import { type ErrorCode, SignalboxError } from '../core/errors.js'
import { lingerAfter } from './body.js'

/**
 * What HTTP tells apart beyond our codes. A request that was cut off is answered to nobody; 501 is not in the list of
 * statuses that GitLab's runner repeats.
 */
const statusByRefinement = {
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

/** The status of an error that HTTP has its own for; undefined: the code's. */
export function refinedStatus(error: SignalboxError): number | undefined {
  const { refinement } = error.details
  return typeof refinement === 'string' && Object.hasOwn(statusByRefinement, refinement)
    ? statusByRefinement[refinement as Refinement]
    : undefined
}

export interface ErrorAnswer {
  status: number
  body: unknown
  headers: Record<string, string>
  /** Media type; default JSON. */
  type?: string
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
  toAnswer: (error: SignalboxError) => ErrorAnswer,
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
