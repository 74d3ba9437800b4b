/** Waits for a coordinator that is away, within a stage. */
import { WindowedBackoff } from '../backoff.js'
import { isDisconnect } from '../http.js'
import type { JobContext } from './context.js'
import { pause } from './time.js'

const firstWaitMs = 250
const longestWaitMs = 5_000

/** Waits out, in one stage, a coordinator that is away: it may be restarting, and no job should fail for that. */
export class Patience {
  readonly #backoff = new WindowedBackoff(firstWaitMs, longestWaitMs)
  #since: number | undefined

  constructor(private readonly context: Pick<JobContext, 'awayMs' | 'log' | 'stop'>) {}

  /**
   * Called when no answer came: waits before the next try, which does not count as an attempt.
   * @returns false if the job is being stopped, or this has gone on for longer than `awayMs`.
   */
  async wait(): Promise<boolean> {
    const { awayMs, log, stop } = this.context
    this.#since ??= Date.now()
    if (stop.everything.aborted || Date.now() - this.#since >= awayMs) return false
    log.warning('the coordinator does not answer; trying again')
    await pause(this.#backoff.next(), stop.everything)
    return !stop.everything.aborted
  }
}

/** Whether nobody answers at the coordinator's address, or only a proxy that does not reach it. */
export async function isAway({ http, httpUrl, stop }: Pick<JobContext, 'http' | 'httpUrl' | 'stop'>): Promise<boolean> {
  try {
    const { status } = await http.call({ method: 'GET', url: new URL(httpUrl()), signal: stop.everything })
    return [502, 503, 504].includes(status)
  } catch (error) {
    return isDisconnect(error)
  }
}
