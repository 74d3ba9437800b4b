/**
 * One plugin from its configuration to its end. `loading`: known by what was configured, and by its id once its code is
 * there; `ready`: set up, its hooks are in force; `failed`: it could not be loaded or set up; `disabled` by a person;
 * `closed`. People see `degraded` for one that has failed, and for a ready one while its breaker is not closed or its
 * process is being started again.
 */
import type { Clock } from '../core/clock.js'
import type { Log } from '../core/log.js'
import { asError } from './as-error.js'
import { Fence } from './fence.js'
import { oneLine } from './plain.js'
import { pluginLogger } from './plugin-log.js'
import type { ProcessFacts, Residence } from './residence.js'
import { type Hooks, noHooks } from './scope.js'
import type { Gauge, PluginKind } from './sdk.js'

export interface PluginStatus {
  /** The plugin's id, or what was configured if its id is not known. */
  id: string
  /** What was configured; null for a built-in that the configuration does not name. */
  use: string | null
  builtin: boolean
  kinds: PluginKind[]
  state: 'ready' | 'degraded' | 'disabled' | 'closed'
  /** One sentence on how it is: what it does not do at the moment, and why. */
  health: string
  /** The names of its hooks, such as `classifier log-patterns`. */
  hooks: string[]
  lastError: string | null
  /** Milliseconds since 1970. */
  lastErrorAt: number | null
  /** Calls of its hooks, those that failed, and those that were not made (breaker open, queue full, process away). */
  calls: number
  failures: number
  refused: number
  /** How long the last 100 calls took, in milliseconds: the median and the slowest. */
  latencyMs: { median: number; slowest: number }
  /** Its process; null for a built-in, which runs in ours. */
  process: ProcessFacts | null
}

export interface PluginParts {
  name: string
  use: string | null
  builtin: boolean
  clock: Clock
  log: Log
}

export type PluginState = 'loading' | 'ready' | 'failed' | 'disabled' | 'closed'

/** What there is of a plugin whose code could not be found. */
const nowhere: Pick<Residence, 'metrics' | 'process'> = { metrics: () => ({ families: [], dropped: 0 }) }

const errorLength = 500
/** So many calls in a row without an answer in time: a process that has come to a stand. */
const lateLimit = 5

export class Plugin {
  readonly builtin: boolean
  readonly fence: Fence
  use: string | null
  /** The table of the configuration, not checked yet. */
  given: unknown = {}
  kinds: PluginKind[] = []
  requires: string[] = []
  /** What its admission rules mean when they give no answer, and whether what they say is followed. */
  admission = { failClosed: false, dryRun: false }
  hooks: Hooks = noHooks()
  readonly #clock: Clock
  readonly #log: Log
  readonly #listeners = new Set<() => void>()
  #name: string
  #state: PluginState = 'loading'
  #residence: Residence | undefined
  /** Why its process does not run at the moment. */
  #away: string | undefined
  #lastError: { message: string; at: number } | undefined

  constructor({ name, use, builtin, clock, log }: PluginParts) {
    this.#name = oneLine(name, 200)
    this.use = use === null ? null : oneLine(use, 200)
    this.builtin = builtin
    this.#clock = clock
    this.#log = log
    this.fence = new Fence(clock, {
      onFailure: (error, what, lateInARow) => {
        this.#note(what, error)
        if (lateInARow >= lateLimit) this.#residence?.revive(`${lateInARow} calls in a row had no answer in time`)
      },
      away: () => this.#away,
    })
  }

  get id(): string {
    return this.#name
  }

  get state(): PluginState {
    return this.#state
  }

  get lastError(): string | undefined {
    return this.#lastError?.message
  }

  /** Where its code will run, from now on. */
  settle(residence: Residence): void {
    this.#residence = residence
    this.#state = 'loading'
    this.#away = undefined
  }

  /** Brings the code in: from now on the plugin goes by its id. Rejects with what is wrong. */
  async load(): Promise<void> {
    const { id, requires, kinds } = await this.#home().load()
    this.#name = id
    this.requires = requires
    this.kinds = kinds
  }

  /** Its id is another's: it goes by what was configured again. */
  disown(): void {
    this.#name = this.use ?? this.#name
  }

  /** Checks the configuration. Rejects with a sentence that names the key at fault. */
  configure(): Promise<void> {
    return this.#home().configure(this.given)
  }

  /** Sets the plugin up. Rejects if that fails or takes longer than 10 s; its hooks are then not in force. */
  async setUp(takenExecutors: ReadonlySet<string>): Promise<void> {
    const residence = this.#home()
    const logger = pluginLogger(this.id, this.#log, this.#clock)
    const hooks = await residence.setUp(takenExecutors, { logger, now: () => this.#clock.now() })
    // Closed or disabled while it took its time.
    if (this.#residence !== residence || this.#state !== 'loading') {
      residence.close(0).catch(() => undefined)
      return
    }
    this.hooks = hooks
    this.#state = 'ready'
    this.fence.breaker.reset()
  }

  /** The plugin stays out. */
  fail(what: string, error: unknown): void {
    this.#state = 'failed'
    this.#residence?.close(0).catch(() => undefined)
    this.#residence = undefined
    this.#note(what, asError(error))
  }

  /** Its process has ended, and will be started again. */
  down(reason: string): void {
    this.#away = 'its process is being started again'
    this.#note('process', new Error(reason))
  }

  /** Its process is back. */
  up(): void {
    this.#away = undefined
    this.fence.breaker.reset()
    this.#log.info({ plugin: this.id }, `plugin ${this.id}: its process is back`)
    for (const listener of this.#listeners) listener()
  }

  /** Something about it has gone wrong that changes nothing else. */
  trouble(what: string, error: unknown): void {
    this.#note(what, asError(error))
  }

  /** Calls `listener` whenever its process is back after it was away. */
  onUp(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when its process runs, at the latest after so many milliseconds. */
  whenUp(longestMs: number): Promise<void> {
    if (this.#away === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        stopTimer()
        stopListening()
        resolve()
      }
      const stopTimer = this.#clock.after(longestMs, done)
      const stopListening = this.onUp(done)
    })
  }

  /** A person does not want it for now. Resolves when nothing of it runs. */
  async disable(deadlineMs: number): Promise<void> {
    await this.#stop('disabled', deadlineMs)
  }

  /** Ends the plugin: its signal is aborted, its `close` called and waited for. Never rejects, safe to repeat. */
  async close(deadlineMs: number): Promise<void> {
    if (this.#state === 'closed') return
    await this.#stop(this.#state === 'ready' ? 'closed' : this.#state, deadlineMs)
  }

  async #stop(state: PluginState, deadlineMs: number): Promise<void> {
    const residence = this.#residence
    this.#state = state
    this.#away = undefined
    this.#residence = undefined
    this.hooks = noHooks()
    await residence?.close(deadlineMs).catch((error: unknown) => this.#note('close', asError(error)))
  }

  /** Metrics of its own, and how many of them were dropped. */
  metrics(): { families: Gauge[]; dropped: number } {
    return (this.#residence ?? nowhere).metrics()
  }

  get process(): ProcessFacts | undefined {
    return (this.#residence ?? nowhere).process
  }

  status(): PluginStatus {
    const { medianMs, slowestMs } = this.fence.latency
    const state = this.#shownState()
    return {
      id: this.id,
      use: this.use,
      builtin: this.builtin,
      kinds: [...this.kinds],
      state,
      health: this.#health(state),
      hooks: [
        ...this.hooks.executors.map(({ name }) => `executor ${name}`),
        ...this.hooks.classifiers.map(({ name }) => `classifier ${name}`),
        ...this.hooks.exporters.map(({ name }) => `exporter ${name}`),
        ...this.hooks.admissions.map(({ name }) => `admission ${name}`),
      ],
      lastError: this.#lastError?.message ?? null,
      lastErrorAt: this.#lastError?.at ?? null,
      ...this.fence.counts,
      latencyMs: { median: rounded(medianMs), slowest: rounded(slowestMs) },
      process: this.process ?? null,
    }
  }

  #shownState(): PluginStatus['state'] {
    if (this.#state === 'closed' || this.#state === 'disabled') return this.#state
    const well = this.#state === 'ready' && this.#away === undefined && this.fence.breaker.state === 'closed'
    return well ? 'ready' : 'degraded'
  }

  #health(state: PluginStatus['state']): string {
    if (state === 'ready') return 'well'
    if (state !== 'degraded') return state
    if (this.#state === 'loading') return 'being set up'
    if (this.#state === 'failed') return 'not used: it could not be set up'
    return this.#away ?? 'not called for a while: it has failed too often'
  }

  #home(): Residence {
    if (!this.#residence) throw new Error(`the plugin ${this.id} is nowhere`)
    return this.#residence
  }

  #note(what: string, error: Error): void {
    const message = oneLine(`${what}: ${error.message}`, errorLength)
    this.#lastError = { message, at: this.#clock.now() }
    this.#log.warn({ plugin: this.id, err: error }, `plugin ${this.id}: ${message}`)
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
