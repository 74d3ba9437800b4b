/** Stages that fail are tried again, as often as the job's variables ask for. */
import type { JobContext } from './context.js'
import { formatDuration } from './duration.js'
import type { Failure } from './report.js'
import { pause } from './time.js'

/** Tries a stage again, with growing waits between, until it succeeds or the attempts are used up. */
export async function attempt(
  { retryWaitMs, stop, log }: JobContext,
  attempts: number,
  body: (attempt: number) => Promise<Failure | undefined>,
): Promise<Failure | undefined> {
  for (let count = 0; ; count++) {
    const failure = await body(count)
    if (failure === undefined || stop.everything.aborted || count + 1 >= attempts) return failure
    const waitMs = Math.min(retryWaitMs.first * 2 ** count, retryWaitMs.longest)
    log.warning(`${failure.message}; trying again in ${formatDuration(waitMs)}`)
    await pause(waitMs, stop.everything)
  }
}
