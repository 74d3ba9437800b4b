/**
 * Runs what has been started until nothing moves any more. In a simulation nothing waits for the outside, so everything
 * goes on from one turn of the event loop to the next; what comes to the store or the disk counts as a movement.
 */
import { setImmediate as turn } from 'node:timers/promises'

/** No chain of ours goes further without touching the store or the disk. */
const stillTurns = 4

export class Turns {
  #moves = 0

  /** Something has been asked of the store or the disk. */
  readonly moved = (): void => {
    this.#moves++
  }

  async settle(): Promise<void> {
    for (let still = 0, seen = this.#moves; still < stillTurns; ) {
      await turn()
      still = seen === this.#moves ? still + 1 : 0
      seen = this.#moves
    }
  }

  /** Lets some turns pass and leaves under way what takes longer. */
  async pass(turns: number): Promise<void> {
    for (let i = 0; i < turns; i++) await turn()
  }
}
