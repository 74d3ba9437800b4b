/**
 * The plugins of this process, from what is configured to the end: the built-ins as they are listed, then what the
 * configuration names. Built-ins run here, the code of others in a process each: of those only the manifest is read here.
 *
 * A plugin that cannot be loaded, configured or set up stays in the list as failed and is otherwise not there; what may be
 * better next time (its code, its setup) is tried again after 1 s, 2 s, 4 s… up to a minute. Only a built-in that fails is
 * an error.
 */
import { asFault } from '../core/as-fault.js'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import type { Log } from '../core/log.js'
import { asError } from './as-error.js'
import type { ChainSettings } from './chain.js'
import { pluginKinds, setupOrder } from './definition.js'
import { inTime } from './fence.js'
import { Here } from './here.js'
import { nameOf } from './plain.js'
import { Plugin } from './plugin.js'
import type { PluginDefinition, PluginKind } from './sdk.js'

/** One entry `[[plugins]]` of the configuration. */
export interface ConfiguredPlugin {
  /** A path from the base folder (`./my-plugin`), the name of an npm package, or the id of a built-in. */
  use: string
  /** The table `[plugins.config]`. */
  config?: Record<string, unknown>
  /** The folder that its path or package is looked for from, if not that of all. */
  baseFolder?: string
  /** Names of variables of our environment that its process gets. Nothing else is in its environment. */
  env?: readonly string[]
  /** Resident memory that its process may use, in MiB; default 256. */
  memoryMb?: number
  /** What an admission rule means that gives no answer: `open` admits, `closed` holds. Default `open`. */
  fail?: 'open' | 'closed'
  /** What its admission rules say is written down, and not followed. */
  dryRun?: boolean
}

export interface LoadOptions {
  builtins: readonly PluginDefinition<unknown>[]
  configured: readonly ConfiguredPlugin[]
  /** The folder of the configuration file: paths and packages are looked for from there. Default: the current one. */
  baseFolder?: string
  /** Where plugins get a folder each to work in. Default: in the machine's folder for temporary files. */
  workFolder?: string
  /** Configured plugins of other kinds are left out: a runner needs executors, and nothing else of a common configuration. */
  kinds?: readonly PluginKind[]
  /** How classifiers are asked; `defaultChain` unless told. */
  chain?: ChainSettings
  log: Log
  clock: Clock
  /** The script that plays the host in a plugin's process. */
  childScript?: string
  /** Runs configured plugins in this process, with this to bring in the module at a file URL: for tests of what hooks do. */
  importModule?: (url: string) => Promise<unknown>
}

const configuredLimit = 100
/** A start waits no longer for plugins of others; those that take longer come in later. */
const startPatienceMs = 15_000
const firstRetryMs = 1000
const longestRetryMs = 60_000
/** Closing everything takes no longer than this, whatever plugins do. */
const closeAllMs = 5000
const closeMs = 2000

export class Roster {
  readonly #options: LoadOptions
  readonly #plugins: Plugin[] = []
  /** In the order of their setup. */
  #ready: Plugin[] = []
  readonly #entries = new Map<Plugin, ConfiguredPlugin>()
  readonly #retries = new Map<Plugin, { failures: number; cancel: () => void }>()
  readonly #listeners = new Set<() => void>()
  /** One plugin is brought up or taken down at a time. */
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: LoadOptions) {
    this.#options = options
  }

  /** Every plugin, in the order of the lists. */
  get plugins(): readonly Plugin[] {
    return this.#plugins
  }

  /** Whether a plugin that could not be set up is tried again. */
  get triesAgain(): boolean {
    return this.#retries.size > 0
  }

  /** Calls `listener` whenever a plugin has come in or gone. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /**
   * Brings every plugin in, in the order of the lists and of what they require.
   * @throws SignalboxError `internal` for a built-in that fails, or `invalid` if the configuration names it, once those set
   * up before are closed again; `invalid` for a configuration that names more than 100 plugins.
   */
  async bringIn(): Promise<void> {
    const { builtins, configured, clock } = this.#options
    if (configured.length > configuredLimit) {
      throw new SignalboxError('invalid', `more than ${configuredLimit} plugins are configured`)
    }
    for (const definition of builtins) this.#declareBuiltin(definition)
    for (const entry of configured) this.#declareConfigured(entry)
    const coming = this.#inTurn(() => this.#bringAllIn())
    coming.catch(() => undefined)
    // A built-in is never late; others have had their chance.
    await inTime(clock, startPatienceMs, () => coming).catch((error: unknown) => {
      if (error instanceof SignalboxError) throw error
    })
  }

  /** Takes a plugin out of use until it is enabled again. Rejects with `not_found`, or `conflict` if others require it. */
  disable(id: string): Promise<void> {
    return this.#inTurn(async () => {
      const plugin = this.#configuredOne(id)
      if (plugin.state === 'disabled') return
      const needing = this.#ready.find((one) => one.requires.includes(plugin.id))
      if (needing) throw new SignalboxError('conflict', `the plugin ${needing.id} requires ${plugin.id}`)
      this.#cancelRetry(plugin)
      this.#ready = this.#ready.filter((one) => one !== plugin)
      await plugin.disable(closeMs)
      this.#tell()
    })
  }

  /** Brings a plugin that was disabled, or has failed, in again. Rejects with `not_found`; how it went is its status. */
  enable(id: string): Promise<void> {
    return this.#inTurn(async () => {
      const plugin = this.#configuredOne(id)
      if (plugin.state !== 'ready') await this.#bringBack(plugin)
    })
  }

  /** Closes the plugins in reverse. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true
    for (const plugin of this.#plugins) this.#cancelRetry(plugin)
    const { clock } = this.#options
    const until = clock.now() + closeAllMs
    const order = [...this.#ready].reverse()
    const others = this.#plugins.filter((plugin) => !order.includes(plugin))
    for (const plugin of order) await plugin.close(Math.max(0, Math.min(closeMs, until - clock.now())))
    await Promise.all(others.map((plugin) => plugin.close(0)))
  }

  #declareBuiltin(definition: PluginDefinition<unknown>): void {
    const { clock, log } = this.#options
    const plugin = new Plugin({ name: String(definition.id), use: null, builtin: true, clock, log })
    plugin.settle(new Here({ clock, bringIn: () => definition, kinds: undefined }))
    this.#plugins.push(plugin)
  }

  #declareConfigured(entry: ConfiguredPlugin): void {
    if (!this.#isWanted(kindsNamed(entry.use))) return
    const builtin = this.#plugins.find((plugin) => plugin.builtin && plugin.id === entry.use && plugin.use === null)
    if (builtin) {
      builtin.use = entry.use
      builtin.admission = admissionOf(entry)
      builtin.given = entry.config ?? {}
      return
    }
    const { clock, log } = this.#options
    const name = typeof entry.use === 'string' ? entry.use : nameOf(entry.use)
    const plugin = new Plugin({ name, use: name, builtin: false, clock, log })
    plugin.given = entry.config ?? {}
    plugin.admission = admissionOf(entry)
    this.#entries.set(plugin, entry)
    this.#plugins.push(plugin)
  }

  async #bringAllIn(): Promise<void> {
    // Processes take their time to start: all at once. What they say they are counts in the order of the lists.
    const loads = this.#plugins.map((plugin) => (plugin.builtin ? undefined : this.#housed(plugin)))
    for (const [at, plugin] of [...this.#plugins].entries()) {
      await this.#attempt(plugin, 'load', async () => {
        if (plugin.builtin) await plugin.load()
        else if (!(await loads[at])) this.#forget(plugin)
        else this.#refuseSecond(plugin)
      })
      if (plugin.state === 'loading') await this.#attempt(plugin, 'config', () => plugin.configure())
    }
    const { order, impossible } = setupOrder(this.#plugins.filter((plugin) => plugin.state === 'loading'))
    for (const [plugin, reason] of impossible) this.#reject(plugin, 'requires', new Error(reason))
    for (const plugin of order) await this.#setUp(plugin)
  }

  /** Finds the plugin's code and loads it where it will run. Gives false if it is of no kind that is wanted. */
  async #housed(plugin: Plugin): Promise<boolean> {
    try {
      const entry = this.#entries.get(plugin) as ConfiguredPlugin
      if (typeof entry.use !== 'string') throw new Error(`use must be a text, not ${nameOf(entry.use)}`)
      // Most processes have no plugins of others, and start sooner without it.
      const { houseFor } = await import('./house.js')
      const residence = await houseFor(plugin, entry, this.#options)
      plugin.kinds = residence.kinds ?? []
      if (residence.kinds && !this.#isWanted(residence.kinds)) return false
      plugin.settle(residence.make())
      await plugin.load()
      return this.#isWanted(plugin.kinds)
    } catch (error) {
      plugin.fail('load', error)
      return true
    }
  }

  #refuseSecond(plugin: Plugin): void {
    const { id, state } = plugin
    const first = this.#plugins.find((one) => one.id === id && one.state !== 'failed')
    if (state === 'failed' || first === plugin) return
    plugin.disown()
    throw new Error(`there is a plugin ${id} already`)
  }

  async #setUp(plugin: Plugin): Promise<void> {
    await this.#attempt(plugin, 'setup', async () => {
      const missing = plugin.requires.find((id) => !this.#ready.some((one) => one.id === id))
      if (missing !== undefined) throw new Error(`requires ${missing}, which is not ready`)
      const executors = this.#ready.flatMap((one) => one.hooks.executors.map(({ name }) => name))
      await plugin.setUp(new Set(executors))
    })
    if (plugin.state !== 'ready') return
    this.#ready.push(plugin)
    this.#cancelRetry(plugin)
    this.#tell()
    // Those that have waited for it.
    for (const one of this.#plugins) {
      if (one.state === 'failed' && one.requires.includes(plugin.id)) this.#retrySoon(one, 0)
    }
  }

  /** The plugin once more, from the start. */
  async #bringBack(plugin: Plugin): Promise<void> {
    if (plugin.builtin) {
      const definition = this.#options.builtins.find(({ id }) => id === plugin.id) as PluginDefinition<unknown>
      plugin.settle(new Here({ clock: this.#options.clock, bringIn: () => definition, kinds: undefined }))
      await plugin.load()
    } else {
      await this.#housed(plugin)
    }
    await this.#attempt(plugin, 'load', async () => this.#refuseSecond(plugin))
    if (plugin.state === 'loading') await this.#attempt(plugin, 'config', () => plugin.configure())
    if (plugin.state === 'loading') await this.#setUp(plugin)
    else if (plugin.state === 'failed') this.#retrySoon(plugin)
    this.#tell()
  }

  async #attempt(plugin: Plugin, what: 'load' | 'config' | 'setup', act: () => Promise<void>): Promise<void> {
    try {
      await act()
    } catch (error) {
      if (plugin.builtin) await this.close()
      this.#reject(plugin, what, error)
    }
    // What it is given does not change by itself; the rest may.
    if (plugin.state === 'failed' && !plugin.builtin && what !== 'config') this.#retrySoon(plugin)
  }

  /** The plugin stays out; if it is a built-in, nothing starts. */
  #reject(plugin: Plugin, what: string, error: unknown): void {
    plugin.fail(what, error)
    if (plugin.builtin) {
      // Without a configuration it is our fault, with one most likely that of who wrote it.
      const code = plugin.use === null ? 'internal' : 'invalid'
      throw new SignalboxError(code, `the built-in plugin ${plugin.id} failed: ${asError(error).message}`, {
        cause: error,
      })
    }
  }

  #retrySoon(plugin: Plugin, firstMs = firstRetryMs): void {
    const { failures, cancel } = this.#retries.get(plugin) ?? { failures: 0, cancel: () => undefined }
    cancel()
    if (this.#closed) return
    const waitMs = firstMs === 0 ? 0 : Math.min(firstMs * 2 ** failures, longestRetryMs)
    const stop = this.#options.clock.after(waitMs, () => {
      this.#inTurn(async () => {
        if (!this.#closed && plugin.state === 'failed') await this.#bringBack(plugin)
      }).catch(asFault)
    })
    this.#retries.set(plugin, { failures: failures + 1, cancel: stop })
  }

  #cancelRetry(plugin: Plugin): void {
    this.#retries.get(plugin)?.cancel()
    this.#retries.delete(plugin)
  }

  /** It is of a kind that nobody here asks for. */
  #forget(plugin: Plugin): void {
    plugin.close(0).catch(asFault)
    this.#plugins.splice(this.#plugins.indexOf(plugin), 1)
  }

  #configuredOne(id: string): Plugin {
    const plugin = this.#plugins.find((one) => one.id === id && one.use !== null)
    if (plugin) return plugin
    throw new SignalboxError('not_found', `no plugin ${JSON.stringify(id)} is configured`)
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(act, act)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  #isWanted(kinds: readonly PluginKind[]): boolean {
    const wanted = this.#options.kinds
    return !wanted || wanted.some((kind) => kinds.includes(kind))
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** The kind that the id of a built-in names; every kind for a path or package, which must be looked at. */
function kindsNamed(use: unknown): readonly PluginKind[] {
  const word = typeof use === 'string' ? /^([a-z]+)\.[a-z][a-z0-9-]*$/.exec(use)?.[1] : undefined
  const kind = pluginKinds.find((one) => one === word)
  return kind ? [kind] : pluginKinds
}

function admissionOf({ fail = 'open', dryRun = false }: ConfiguredPlugin) {
  return { failClosed: fail === 'closed', dryRun }
}
