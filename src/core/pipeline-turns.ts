/**
 * Pipelines of which more is to be queued than one transaction should: each has its turn, one bounded pass at a time, and
 * between two passes everybody else has theirs. That there is more stands in the store (`unfinished-passes.ts`), so losing
 * this memory costs latency only. docs/decisions/0020 explains why.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { asFault } from './as-fault.js'

export class PipelineTurns {
  readonly #pass: (pipelineId: number) => Promise<void>
  readonly #waiting = new Set<number>()
  #running = false
  #last: Promise<unknown> = Promise.resolve()

  /** `pass` does not reject. It adds the pipeline again if there is still more. */
  constructor(pass: (pipelineId: number) => Promise<void>) {
    this.#pass = pass
  }

  add(pipelineId: number): void {
    this.#waiting.add(pipelineId)
    if (!this.#running) this.#run().catch(asFault)
  }

  /**
   * Carries out large work that cannot be cut, one after another and everybody else between two: docs/decisions/0028.
   * Rejects as `work` does.
   */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(() => turn()).then(work)
    this.#last = mine.catch(() => undefined)
    return mine
  }

  async #run(): Promise<void> {
    this.#running = true
    try {
      for (const id of this.#waiting) {
        this.#waiting.delete(id)
        // A write that is asked for while others are carried out joins them: what has come in meanwhile goes first.
        await turn()
        const pass = this.#pass(id)
        pass.catch(asFault)
        // The others have their turns all the same.
        await pass.catch(() => undefined)
      }
    } finally {
      this.#running = false
    }
  }
}
