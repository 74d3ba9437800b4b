/**
 * The codes of every error that a request can meet. `docs/errors.md` lists them; the edges hold total tables from code
 * to their protocol's status.
 */
export const errorCodes = [
  'invalid',
  'unauthenticated',
  'forbidden',
  'not_found',
  'conflict',
  'fenced',
  'range_mismatch',
  'too_large',
  'unsupported_media_type',
  'rate_limited',
  'unavailable',
  'internal',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/** What the system says when it has run out of something. */
const shortages: Record<string, string | undefined> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  EAGAIN: 'too many processes are running',
  ENOMEM: 'there is not enough memory',
}

/**
 * What a request is refused with. `message` is safe to show to whoever sent the request; the cause is only logged.
 * A failing job is not an error: its failure reason is data.
 */
export class SignalboxError extends Error {
  override readonly name = 'SignalboxError'
  readonly code: ErrorCode
  /** Facts that an edge may need for its answer, such as the stored length of a trace. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }

  /**
   * Whatever was thrown, as a SignalboxError: what the machine has run out of is `unavailable`, since it may have it again;
   * anything else becomes `internal` with a fixed sentence.
   */
  static from(thrown: unknown): SignalboxError {
    if (thrown instanceof SignalboxError) return thrown
    const lacking = shortages[String((thrown as NodeJS.ErrnoException | undefined)?.code)]
    if (lacking !== undefined) return new SignalboxError('unavailable', lacking, { cause: thrown })
    return new SignalboxError('internal', 'internal error', { cause: thrown })
  }
}

/**
 * Whether the error leaves open what became of a write: the database has not answered whether it has committed. Whoever
 * gets it undoes nothing.
 */
export function isUncertain(thrown: unknown): boolean {
  return thrown instanceof SignalboxError && thrown.details.uncertain === true
}

/** A refusal of one field of what was given, `{path: ["has already been taken"]}` in GitLab's API. */
export function wrongField(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid', `${field} ${message}`, { details: { field, message } })
}
