/**
 * This node among those that share its store: it gives a sign of life every few seconds, and learns with it whether it is to
 * be drained and whether the background tasks are its duty. On SQLite a node is alone: it is on duty, and drained by its own
 * API only.
 */
import { asFault } from './as-fault.js'
import type { Core } from './core.js'
import { beatMs } from './node.js'
import { beatNode, leaveNodes } from './operations/join-node.js'
import type { Tasks } from './scheduler/tasks.js'

export class Membership {
  readonly #core: Core
  readonly #tasks: Tasks
  readonly #httpUrl: string
  #stop: (() => void) | undefined
  #beating: Promise<void> | undefined
  #wasOnDuty = false
  #isAway = false

  constructor(core: Core, tasks: Tasks, httpUrl: string) {
    this.#core = core
    this.#tasks = tasks
    this.#httpUrl = httpUrl
  }

  /** Begins. Resolves after the first sign of life. */
  async start(): Promise<void> {
    if (this.#core.store.engine === 'sqlite') return
    this.#stop = this.#core.clock.every(beatMs, () => {
      this.look().catch(asFault)
    })
    await this.look()
  }

  /** Gives a sign of life now. Never rejects. */
  look(): Promise<void> {
    if (this.#core.store.engine === 'sqlite') return Promise.resolve()
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #beat(): Promise<void> {
    const { nodeState, clock, log } = this.#core
    try {
      await beatNode(this.#core, this.#httpUrl)
      this.#isAway = false
      const onDuty = nodeState.onDuty(clock.now())
      // What is paused and what is due another node may have written.
      if (onDuty && !this.#wasOnDuty) await this.#tasks.takeOver()
      if (onDuty !== this.#wasOnDuty)
        log.info({}, onDuty ? 'this node does the background tasks' : 'another node does the background tasks')
      this.#wasOnDuty = onDuty
    } catch (error) {
      if (!this.#isAway) log.warn({ err: error }, 'other nodes could not be told that this one is there')
      this.#isAway = true
    }
  }

  /** Ends, and says so to the others if the store can be written. Never rejects. */
  async close(): Promise<void> {
    this.#stop?.()
    await this.#beating
    if (this.#stop === undefined) return
    await leaveNodes(this.#core).catch((error: unknown) => {
      this.#core.log.warn({ err: error }, 'other nodes could not be told that this one stops')
    })
  }
}
