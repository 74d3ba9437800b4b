/**
 * Why a job is being ended before its time.
 *
 * - `canceled`: somebody wants it to end
 * - `timeout`: the time for the whole job is over
 * - `interrupted`: the runner is being stopped
 * - `lease_lost`: the lease could not be renewed, so another runner may be given the work
 * - `abandoned`: the job is not ours any more; nobody wants to hear of it
 */
export type StopCause = 'canceled' | 'timeout' | 'interrupted' | 'lease_lost' | 'abandoned'

/** How long a script may take to end by itself once it was asked to. */
export interface Stop {
  cause: StopCause
  graceMs: number
}

/**
 * The ways to end a job, each pulled at most once: `script` ends what the user's script does and lets the job go on to
 * its after_script; `everything` ends the job; `force` does so without grace, also when the grace of another has begun.
 */
export class StopLever {
  readonly #everything = new AbortController()
  readonly #force = new AbortController()
  readonly #script = new AbortController()

  get everything(): AbortSignal {
    return this.#everything.signal
  }

  get force(): AbortSignal {
    return this.#force.signal
  }

  get script(): AbortSignal {
    return this.#script.signal
  }

  stopEverything(stop: Stop): void {
    if (!this.#everything.signal.aborted) this.#everything.abort(stop)
    if (stop.graceMs === 0 && !this.#force.signal.aborted) this.#force.abort(stop)
  }

  stopScript(stop: Stop): void {
    if (!this.#script.signal.aborted) this.#script.abort(stop)
  }

  /** What has ended everything, if anything has. */
  get stopped(): Stop | undefined {
    return stopOf(this.#everything.signal)
  }
}

export function stopOf(signal: AbortSignal): Stop | undefined {
  return signal.aborted ? (signal.reason as Stop) : undefined
}
