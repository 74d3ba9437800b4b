/** So many at once, a short queue for the others, and a plain no for the rest. */
import type { Clock } from '../core/clock.js'
import { busy } from './refusal.js'

export interface SlotsOptions {
  clock: Clock
  atOnce: number
  /** How many may wait. */
  queue: number
  /** How long they may. */
  waitMs: number
}

export class Slots {
  readonly #options: SlotsOptions
  readonly #waiting = new Set<() => void>()
  #taken = 0

  constructor(options: SlotsOptions) {
    this.#options = options
  }

  get taken(): number {
    return this.#taken
  }

  /**
   * Waits for a slot and gives what frees it again (safe to repeat). Rejects with a refusal (503) when the queue is full
   * or the wait too long, and with the signal's reason when that is aborted.
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    if (this.#taken < this.#options.atOnce) this.#taken++
    else await this.#wait(signal)
    let freed = false
    return () => {
      if (freed) return
      freed = true
      const [next] = this.#waiting
      // A slot is handed on, not freed, so that nobody who comes now passes those who wait.
      if (next) next()
      else this.#taken--
    }
  }

  #wait(signal?: AbortSignal): Promise<void> {
    const { clock, queue, waitMs } = this.#options
    if (this.#waiting.size >= queue) return Promise.reject(busy())
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(enter)
        signal?.removeEventListener('abort', abort)
        stopTimer()
      }
      const enter = () => {
        leave()
        resolve()
      }
      const abort = () => {
        leave()
        reject(signal?.reason)
      }
      const stopTimer = clock.after(waitMs, () => {
        leave()
        reject(busy())
      })
      this.#waiting.add(enter)
      signal?.addEventListener('abort', abort)
    })
  }
}
