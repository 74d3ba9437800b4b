/**
 * Why the runner as a whole could not start or go on. A failing job is not an error: its report is data.
 *
 * - `usage`: an option that has no possible meaning; shown to whoever started the runner.
 * - `unauthorized`: the coordinator does not know this runner's token (any more).
 * - `superseded`: another process has connected under the same system id.
 * - `protocol`: the coordinator speaks no version of the protocol that this runner knows.
 */
export type RunnerErrorCode = 'usage' | 'unauthorized' | 'superseded' | 'protocol'

export class RunnerError extends Error {
  override readonly name = 'RunnerError'

  constructor(
    readonly code: RunnerErrorCode,
    message: string,
    options: { cause?: unknown } = {},
  ) {
    super(message, options)
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
