/** A plugin whose code runs in this process: a built-in, or any plugin as its own process sees it. */

import type { Clock } from '../core/clock.js'
import { checkDefinition, configOf } from './definition.js'
import { inTime } from './fence.js'
import type { LoadedFacts } from './messages.js'
import { isObject } from './plain.js'
import { PluginMetricsScope } from './plugin-metrics.js'
import { loadMs, type Residence, type Surroundings, setupMs } from './residence.js'
import { type Hooks, openScope } from './scope.js'
import type { Gauge, PluginDefinition, PluginInstance, PluginKind } from './sdk.js'

export interface HereParts {
  clock: Pick<Clock, 'after'>
  /** Gives what the module exports by default. */
  bringIn: () => unknown
  /** Kinds that the manifest names; undefined: the one that the id names. */
  kinds: readonly PluginKind[] | undefined
}

export class Here implements Residence {
  readonly #parts: HereParts
  readonly #stop = new AbortController()
  #loaded: { definition: PluginDefinition<unknown>; kinds: PluginKind[] } | undefined
  #config: unknown
  #scope: PluginMetricsScope | undefined
  #instance: PluginInstance | undefined

  constructor(parts: HereParts) {
    this.#parts = parts
  }

  async load(): Promise<LoadedFacts> {
    const { clock, bringIn, kinds } = this.#parts
    this.#loaded = checkDefinition(await inTime(clock, loadMs, bringIn), kinds)
    const { definition } = this.#loaded
    return { id: definition.id, requires: [...(definition.requires ?? [])], kinds: this.#loaded.kinds }
  }

  async configure(given: unknown): Promise<void> {
    this.#config = configOf(this.#defined().definition, given)
  }

  async setUp(takenExecutors: ReadonlySet<string>, { logger, now }: Surroundings): Promise<Hooks> {
    const { definition, kinds } = this.#defined()
    this.#scope = new PluginMetricsScope(definition.id)
    const { signal } = this.#stop
    const scope = openScope({ kinds, takenExecutors, host: { logger, metrics: this.#scope, now, signal } })
    const setup = Promise.resolve().then(() => definition.setup(scope.host, this.#config))
    try {
      this.#instance = asInstance(await inTime(this.#parts.clock, setupMs, () => setup))
    } catch (error) {
      this.#stop.abort()
      // One that comes too late is ended as it comes.
      setup.then((instance) => asInstance(instance)?.close?.()).catch(() => undefined)
      throw error
    } finally {
      scope.shut()
    }
    return scope.hooks
  }

  async close(deadlineMs: number): Promise<void> {
    this.#stop.abort()
    const instance = this.#instance
    this.#instance = undefined
    await inTime(this.#parts.clock, deadlineMs, () => instance?.close?.())
  }

  metrics(): { families: Gauge[]; dropped: number } {
    return { families: this.#scope?.gather() ?? [], dropped: this.#scope?.dropped ?? 0 }
  }

  /** The metrics as they are, for a process that hands them on. */
  get scope(): PluginMetricsScope | undefined {
    return this.#scope
  }

  revive(): void {}

  #defined() {
    if (!this.#loaded) throw new Error('the plugin is not loaded')
    return this.#loaded
  }
}

function asInstance(value: unknown): PluginInstance | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value) || (value.close !== undefined && typeof value.close !== 'function')) {
    throw new Error('setup must give nothing, or an object with close()')
  }
  return value as PluginInstance
}
