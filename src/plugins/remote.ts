/**
 * A plugin of others: its code runs in a process of its own. The hooks that the host gets from here stay the same over all
 * its processes. One that ends by itself, or had to be ended, is started again after 1 s, 2 s, 4 s… up to a minute, and
 * led through the same steps; one that has been well for a minute begins anew with 1 s.
 */
import { mkdirSync } from 'node:fs'
import { asFault } from '../core/as-fault.js'
import type { Clock } from '../core/clock.js'
import { asAttached, asLoaded } from './definition.js'
import { inTime } from './fence.js'
import type { AttachedHook, LoadedFacts, Task } from './messages.js'
import { toPlain } from './plain.js'
import { type PluginMetricsScope, restoredMetrics } from './plugin-metrics.js'
import { PluginProcess, type Sink } from './plugin-process.js'
import { remoteHooks } from './remote-hooks.js'
import { loadMs, type ProcessFacts, type Residence, type Surroundings, setupMs } from './residence.js'
import type { Hooks } from './scope.js'
import type { Gauge, PluginKind } from './sdk.js'

export interface RemoteParts {
  entry: string
  kinds: PluginKind[] | undefined
  /** The script that plays the host there. */
  script: string
  flags: readonly string[]
  /** Whether `signalbox/plugin` would not be found from where the plugin lies. */
  provideSdk: boolean
  permissions: string[]
  env: Record<string, string>
  folder: string
  limitBytes: number
  clock: Clock
  /** The process has ended, and will come again. */
  onDown: (reason: string) => void
  /** It is back, with the hooks of its first time. */
  onUp: () => void
  /** Coming back has failed; it is tried again. */
  onTrouble: (what: string, error: unknown) => void
}

const firstRestartMs = 1000
const longestRestartMs = 60_000
const logLevels = ['debug', 'info', 'warn', 'error'] as const
const wellMs = 60_000
const answerLimits = { values: 100_000, characters: 17 * 1024 * 1024 }

export class Remote implements Residence {
  readonly #parts: RemoteParts
  #process: PluginProcess | undefined
  #started = 0
  #startedAt = 0
  #failures = 0
  #cancelRestart: (() => void) | undefined
  #closed = false
  #facts: LoadedFacts | undefined
  #given: unknown
  #around: Surroundings | undefined
  #taken: ReadonlySet<string> = new Set()
  #attached: AttachedHook[] | undefined
  #metrics: PluginMetricsScope | undefined

  constructor(parts: RemoteParts) {
    this.#parts = parts
  }

  async load(): Promise<LoadedFacts> {
    this.#start()
    const { entry, kinds, provideSdk } = this.#parts
    const facts = asLoaded(await this.#step({ do: 'load', entry, kinds, provideSdk }, loadMs), kinds)
    this.#facts ??= facts
    if (facts.id !== this.#facts.id) throw new Error(`it was ${this.#facts.id}, and is ${facts.id} now`)
    return facts
  }

  async configure(given: unknown): Promise<void> {
    this.#given = given
    await this.#step({ do: 'configure', given: toPlain(given ?? {}, answerLimits) }, loadMs)
  }

  async setUp(takenExecutors: ReadonlySet<string>, around: Surroundings): Promise<Hooks> {
    this.#around = around
    this.#taken = takenExecutors
    const attached = await this.#setUp()
    this.#attached = attached
    return remoteHooks(attached, (task, sink) => this.#ask(task, sink))
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true
    this.#cancelRestart?.()
    const process = this.#process
    try {
      if (process?.pid != null && deadlineMs > 0)
        await inTime(this.#parts.clock, deadlineMs, () => process.ask({ do: 'close' }))
    } finally {
      process?.kill('it was closed')
      this.#process = undefined
    }
  }

  metrics(): { families: Gauge[]; dropped: number } {
    return { families: this.#metrics?.gather() ?? [], dropped: this.#metrics?.dropped ?? 0 }
  }

  revive(reason: string): void {
    this.#process?.kill(reason)
  }

  get process(): ProcessFacts {
    const { limitBytes, permissions } = this.#parts
    const { pid = null, residentBytes = 0 } = this.#process ?? {}
    return { pid, residentBytes, limitBytes, restarts: Math.max(0, this.#started - 1), permissions }
  }

  #start(): void {
    const { script, flags, env, folder, limitBytes, clock, onDown } = this.#parts
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#started++
    this.#startedAt = clock.now()
    const started = new PluginProcess({
      script,
      flags,
      env,
      folder,
      limitBytes,
      clock,
      logger: () => this.#around?.logger,
      onLog: (json) => this.#log(json),
      onMetrics: (json) => {
        this.#metrics = restoredMetrics(this.#facts?.id ?? '', parsed(json))
      },
      onEnd: (reason) => {
        if (this.#process !== started || this.#closed) return
        this.#process = undefined
        // Before it was ever set up, whoever leads it through its steps hears of it there.
        if (!this.#attached) return
        onDown(reason)
        this.#restartLater()
      },
    })
    this.#process = started
  }

  #restartLater(): void {
    const { clock } = this.#parts
    if (this.#closed || this.#cancelRestart) return
    if (clock.now() - this.#startedAt > wellMs) this.#failures = 0
    const waitMs = Math.min(firstRestartMs * 2 ** this.#failures++, longestRestartMs)
    this.#cancelRestart = clock.after(waitMs, () => {
      this.#cancelRestart = undefined
      this.#restart().catch(asFault)
    })
  }

  async #restart(): Promise<void> {
    try {
      await this.load()
      await this.configure(this.#given)
      const attached = await this.#setUp()
      if (JSON.stringify(attached) !== JSON.stringify(this.#attached))
        throw new Error('its hooks are others than before')
      if (!this.#closed) this.#parts.onUp()
    } catch (error) {
      if (this.#closed) return
      const failed = this.#process
      this.#process = undefined
      failed?.kill('it could not be set up again')
      this.#parts.onTrouble('restart', error)
      this.#restartLater()
    }
  }

  async #setUp(): Promise<AttachedHook[]> {
    const answer = await this.#step({ do: 'setUp', takenExecutors: [...this.#taken] }, setupMs)
    return asAttached(answer, this.#facts?.kinds ?? [], this.#taken)
  }

  /** A step on the way to its hooks: one that fails ends the process. */
  async #step(task: Task, deadlineMs: number): Promise<unknown> {
    const process = this.#process
    try {
      return await inTime(this.#parts.clock, deadlineMs + 500, () => this.#ask(task))
    } catch (error) {
      if (!this.#attached) {
        this.#process = undefined
        process?.kill('it could not be set up')
      }
      throw error
    }
  }

  async #ask(task: Task, sink?: Sink): Promise<unknown> {
    if (!this.#process) throw new Error('its process is being started again')
    return parsed(await this.#process.ask(task, sink))
  }

  #log(json: string): void {
    const lines = parsed(json)
    const logger = this.#around?.logger
    if (!logger || !Array.isArray(lines)) return
    for (const line of lines) {
      const [given, fields, message] = Array.isArray(line) ? line : []
      const level = logLevels.find((one) => one === given)
      if (level) logger[level](fields, message)
    }
  }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    throw new Error('its answer is no JSON')
  }
}
