/**
 * One plugin from its configuration to its end. `loading`: known by what was configured, and by its id once its
 * definition is there; `ready`: set up, its hooks are in force; `failed`: it could not be loaded or set up, and stays out;
 * `closed`. People see `degraded` for one that has failed, and for a ready one while its breaker is not closed.
 */
import type { Clock } from '../core/clock.js'
import type { Log } from '../core/log.js'
import { configOf } from './definition.js'
import { asError, Fence, inTime } from './fence.js'
import { isObject, oneLine } from './plain.js'
import { pluginLogger } from './plugin-log.js'
import { PluginMetricsScope } from './plugin-metrics.js'
import { type Hooks, noHooks, openScope } from './scope.js'
import type { PluginDefinition, PluginInstance, PluginKind } from './sdk.js'

export interface PluginStatus {
  /** The plugin's id, or what was configured if its id is not known. */
  id: string
  /** What was configured; null for a built-in that the configuration does not name. */
  use: string | null
  builtin: boolean
  kinds: PluginKind[]
  state: 'ready' | 'degraded' | 'closed'
  /** The names of its hooks, such as `classifier log-patterns`. */
  hooks: string[]
  lastError: string | null
  /** Milliseconds since 1970. */
  lastErrorAt: number | null
  /** Calls of its hooks, those that failed, and those that were not made (breaker open, queue full). */
  calls: number
  failures: number
  refused: number
}

export interface PluginParts {
  name: string
  use: string | null
  builtin: boolean
  clock: Clock
  log: Log
}

const setupMs = 10_000
const errorLength = 500

export class Plugin {
  readonly builtin: boolean
  readonly fence: Fence
  use: string | null
  /** The table of the configuration, not checked yet. */
  given: unknown = {}
  kinds: PluginKind[] = []
  hooks: Hooks = noHooks()
  definition: PluginDefinition<unknown> | undefined
  metrics: PluginMetricsScope | undefined
  readonly #clock: Clock
  readonly #log: Log
  readonly #stop = new AbortController()
  #name: string
  #state: 'loading' | 'ready' | 'failed' | 'closed' = 'loading'
  #config: unknown
  #instance: PluginInstance | undefined
  #lastError: { message: string; at: number } | undefined

  constructor({ name, use, builtin, clock, log }: PluginParts) {
    this.#name = oneLine(name, 200)
    this.use = use === null ? null : oneLine(use, 200)
    this.builtin = builtin
    this.#clock = clock
    this.#log = log
    this.fence = new Fence(clock, (error, what) => this.#note(what, error))
  }

  get id(): string {
    return this.#name
  }

  get state(): 'loading' | 'ready' | 'failed' | 'closed' {
    return this.#state
  }

  get lastError(): string | undefined {
    return this.#lastError?.message
  }

  /** The plugin's definition is there: from now on it goes by its id. */
  define(definition: PluginDefinition<unknown>, kinds: PluginKind[]): void {
    this.definition = definition
    this.kinds = kinds
    this.#name = definition.id
  }

  /** Checks the configuration. Throws what `configOf` throws. */
  configure(): void {
    this.#config = configOf(this.#defined(), this.given)
  }

  /** Sets the plugin up. Rejects if that fails or takes longer than 10 s; its hooks are then not in force. */
  async setUp(takenExecutors: ReadonlySet<string>): Promise<void> {
    const definition = this.#defined()
    this.metrics = new PluginMetricsScope(this.id)
    const logger = pluginLogger(this.id, this.#log, this.#clock)
    const { signal } = this.#stop
    const scope = openScope({
      kinds: this.kinds,
      takenExecutors,
      host: { logger, metrics: this.metrics, now: () => this.#clock.now(), signal },
    })
    const setup = Promise.resolve().then(() => definition.setup(scope.host, this.#config))
    try {
      this.#instance = asInstance(await inTime(this.#clock, setupMs, () => setup))
    } catch (error) {
      this.#stop.abort()
      // One that comes too late is ended as it comes.
      setup.then((instance) => asInstance(instance)?.close?.()).catch(() => undefined)
      throw error
    } finally {
      scope.shut()
    }
    this.hooks = scope.hooks
    this.#state = 'ready'
  }

  /** The plugin stays out. */
  fail(what: string, error: unknown): void {
    this.#state = 'failed'
    this.#note(what, asError(error))
  }

  /** Ends the plugin: its signal is aborted, its `close` called and waited for. Never rejects, safe to repeat. */
  async close(deadlineMs: number): Promise<void> {
    if (this.#state === 'closed') return
    const wasReady = this.#state === 'ready'
    this.#state = wasReady ? 'closed' : this.#state
    this.#stop.abort()
    if (!wasReady) return
    this.hooks = noHooks()
    await inTime(this.#clock, deadlineMs, () => this.#instance?.close?.()).catch((error: unknown) =>
      this.#note('close', asError(error)),
    )
  }

  status(): PluginStatus {
    const closed = this.#state === 'closed'
    const well = this.#state === 'ready' && this.fence.breaker.state === 'closed'
    return {
      id: this.id,
      use: this.use,
      builtin: this.builtin,
      kinds: [...this.kinds],
      state: closed ? 'closed' : well ? 'ready' : 'degraded',
      hooks: [
        ...this.hooks.executors.map(({ name }) => `executor ${name}`),
        ...this.hooks.classifiers.map(({ name }) => `classifier ${name}`),
        ...this.hooks.exporters.map(({ name }) => `exporter ${name}`),
      ],
      lastError: this.#lastError?.message ?? null,
      lastErrorAt: this.#lastError?.at ?? null,
      ...this.fence.counts,
    }
  }

  #defined(): PluginDefinition<unknown> {
    if (!this.definition) throw new Error(`the plugin ${this.id} is not loaded`)
    return this.definition
  }

  #note(what: string, error: Error): void {
    const message = oneLine(`${what}: ${error.message}`, errorLength)
    this.#lastError = { message, at: this.#clock.now() }
    this.#log.warn({ plugin: this.id, err: error }, `plugin ${this.id}: ${message}`)
  }
}

function asInstance(value: unknown): PluginInstance | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value) || (value.close !== undefined && typeof value.close !== 'function')) {
    throw new Error('setup must give nothing, or an object with close()')
  }
  return value as PluginInstance
}
