/** Waiting for what is told to somebody who follows it. */
import type { ServerResponse } from 'node:http'

/** Whether something has changed since the last look, and whether anybody is still there to be told. */
export class Changes {
  gone = false
  #changed = false
  #wake: (() => void) | undefined

  constructor(res: ServerResponse) {
    res.on('close', () => {
      this.gone = true
      this.signal()
    })
  }

  signal(): void {
    this.#changed = true
    this.#wake?.()
  }

  async next(): Promise<void> {
    if (!this.#changed && !this.gone) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#wake = undefined
    this.#changed = false
  }
}
