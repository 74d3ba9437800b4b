/** A node: one process of the coordinator among those that share a store, and what it may be asked to do. */

/** A node as the others see it. Times are milliseconds since 1970, by the clock of the database. */
export interface Node {
  id: string
  /** Where it listens. */
  httpUrl: string
  version: string
  startedAt: number
  /** Zero: it has said that it stops. */
  seenAt: number
  /** Since when it takes no new work; null: it does. */
  drainingAt: number | null
  /** It was seen within the last half minute. */
  alive: boolean
}

/** A node says that it is there this often. */
export const beatMs = 2500
/** One that was not seen for so long counts as gone. */
export const goneAfterMs = 30_000
/** Who does the background tasks for all is followed by another after this long without a sign of life. */
export const dutyTermMs = 10_000

/** What this node may do now, for those who do it. */
export class NodeState {
  #draining = false
  /** By the node's own clock. A node alone has no end of its duty. */
  #dutyUntil = Number.POSITIVE_INFINITY
  readonly #listeners = new Set<() => void>()
  /** Other nodes are there, or were a moment ago. */
  hasCompany = false

  /** It takes no new work. */
  get draining(): boolean {
    return this.#draining
  }

  /** Tells the listeners if it is news. */
  setDraining(draining: boolean): void {
    if (draining === this.#draining) return
    this.#draining = draining
    for (const listener of this.#listeners) listener()
  }

  /** Whether this node does the background tasks that one node does for all. `now`: of the node's clock, in ms. */
  onDuty(now: number): boolean {
    return now < this.#dutyUntil
  }

  /** The duty is held until then, in ms of the node's clock: from before it was asked for, so never longer than in the store. */
  setDuty(until: number): void {
    this.#dutyUntil = until
  }

  /** Calls `listener` when draining begins or ends, until the returned function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
