import { WindowedBackoff } from '../backoff.js'
import type { JobContext } from './context.js'
import { pulled, within } from './time.js'

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
    await within(this.#backoff.next(), pulled(stop.everything))
    return !stop.everything.aborted
  }
}

/** What git says when a server went away or is not there: words of libcurl, and of git's `http.c` and `remote-curl.c`. */
const disconnected =
  /Failed to connect|Couldn't connect to server|Could not connect|Connection (refused|reset)|Recv failure|Send failure|Empty reply from server|transfer closed|the remote end hung up|early EOF|unexpected disconnect|The requested URL returned error: 50[234]/

/** Looks in the output of a script for a server that went away. */
export class DisconnectWatch {
  #tail = ''
  #seen = false

  /** Takes a piece of output, of any size. */
  take(chunk: Uint8Array): void {
    const text = this.#tail + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1')
    this.#seen ||= disconnected.test(text)
    this.#tail = text.slice(-80)
  }

  get seen(): boolean {
    return this.#seen
  }
}
