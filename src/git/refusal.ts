/** Why a git request is not served, as HTTP. */
import type { ErrorCode } from '../core/errors.js'
import { SignalboxError } from '../core/errors.js'

export class Refusal extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  /** `message` reaches the user: git shows a plain-text body as lines of `remote:`. */
  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }

  /** Whatever was thrown, as a refusal; undefined for what nobody foresaw. */
  static from(thrown: unknown): Refusal | undefined {
    if (thrown instanceof Refusal) return thrown
    const error = SignalboxError.from(thrown)
    if (error.code === 'internal') return undefined
    return new Refusal(statusOf[error.code], error.message, error.code === 'unavailable' ? retryLater : {})
  }
}

/** Seconds after which a client may try again. */
const retryLater = { 'Retry-After': '5' }

/** Nobody has signed in, or with a wrong password: git asks for one only when it is challenged. */
export function challenge(): Refusal {
  return new Refusal(401, 'HTTP Basic: Access denied. The password is an access token or a job token.', {
    'WWW-Authenticate': 'Basic realm="Signalbox"',
  })
}

/** The project is not there, or not for this user: nobody can tell which. */
export function notFound(): Refusal {
  return new Refusal(404, 'The project you were looking for could not be found or you are not allowed to see it.')
}

export function busy(): Refusal {
  return new Refusal(503, 'Too many git requests at once, try again later.', retryLater)
}

const statusOf = {
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
