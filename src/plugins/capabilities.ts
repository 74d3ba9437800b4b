/**
 * What executors can do, as their plugins say. What one has answered for the same facts is kept; one that gives no answer
 * adds no features for the moment, and is asked again after 1 s, 2 s, 4 s… up to a minute, and at once when it is back.
 */
import { CapabilityChanges } from '../core/capability-changes.js'
import type { Clock } from '../core/clock.js'
import { asCapabilities } from './answers.js'
import type { Plugin } from './plugin.js'
import type { Executor, ExecutorFacts } from './sdk.js'

const deadlineMs = 2000
const rememberedAnswers = 1000
const firstRetryMs = 1000
const longestRetryMs = 60_000

export class Capabilities {
  readonly changes = new CapabilityChanges()
  readonly #clock: Pick<Clock, 'after'>
  readonly #known = new Map<string, string[]>()
  #failures = 0
  #retry: (() => void) | undefined

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  /** Features that the executor adds to those of the facts; none if it gives no answer within 2 s. */
  of({ plugin, hook }: { plugin: Plugin; hook: Executor }, facts: ExecutorFacts): string[] | Promise<string[]> {
    const ask = () => hook.capabilities({ ...facts, features: [...facts.features] })
    // Asked at each contact of a runner: our own are taken at their word.
    if (plugin.builtin) {
      const answer = plugin.fence.callNow(`capabilities of ${facts.executor}`, ask, (value) => value as string[])
      return answer.ok ? answer.value : []
    }
    const key = JSON.stringify([facts.executor, facts.platform, facts.architecture, facts.features])
    return this.#known.get(key) ?? this.#ask(plugin, key, facts.executor, ask)
  }

  async #ask(plugin: Plugin, key: string, name: string, ask: () => unknown): Promise<string[]> {
    const answer = await plugin.fence.call(`capabilities of ${name}`, ask, asCapabilities, { deadlineMs })
    if (!answer.ok) {
      this.#askAgain()
      return []
    }
    this.#failures = 0
    if (this.#known.size >= rememberedAnswers) this.#known.clear()
    this.#known.set(key, answer.value)
    return answer.value
  }

  /** Whoever keeps an empty answer comes again. */
  #askAgain(): void {
    if (this.#retry) return
    const waitMs = Math.min(firstRetryMs * 2 ** this.#failures++, longestRetryMs)
    this.#retry = this.#clock.after(waitMs, () => {
      this.#retry = undefined
      this.changes.changed()
    })
  }

  /** A plugin has come, gone, or is back. */
  forget(): void {
    this.#known.clear()
    this.changes.changed()
  }

  close(): void {
    this.#retry?.()
    // A timer that nobody stops would begin anew.
    this.#retry = () => undefined
  }
}
