/**
 * Gives open leases the time back in which this node was away (`clock.ts`). Sweeps wait for it, so that nobody is judged by
 * time in which nobody could be heard.
 */
import type { Clock } from './clock.js'
import type { Log } from './log.js'

export interface AbsenceOptions {
  clock: Clock
  log: Log
  /** Writes it into the store. */
  giveBack: (awayMs: number) => Promise<void>
}

export class Absence {
  readonly #options: AbsenceOptions
  #givenBackMs = 0
  #giving: Promise<void> | undefined

  constructor(options: AbsenceOptions) {
    this.#options = options
  }

  /** Resolves when no absence is left to be made good. Rejects if the store cannot be written; the next call tries again. */
  async madeGood(): Promise<void> {
    while (this.#options.clock.away() > this.#givenBackMs) {
      this.#giving ??= this.#giveBack().finally(() => {
        this.#giving = undefined
      })
      await this.#giving
    }
  }

  async #giveBack(): Promise<void> {
    const { clock, log, giveBack } = this.#options
    const away = clock.away()
    const awayMs = away - this.#givenBackMs
    await giveBack(awayMs)
    this.#givenBackMs = away
    log.warn({ awayMs: Math.round(awayMs) }, 'this process did not run for a while: its leases get the time back')
  }
}
