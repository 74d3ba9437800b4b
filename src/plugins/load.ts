/**
 * Brings plugins in: the built-ins as they are listed, then what the configuration names. A plugin that cannot be loaded,
 * configured or set up stays in the list as failed and is otherwise not there; only a built-in that fails is an error.
 *
 * For now the code of a configured plugin runs in this process. Everything that crosses its surface is plain data and has
 * a deadline, so that it can move to a process of its own without a change for authors.
 */
import { pathToFileURL } from 'node:url'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import type { Log } from '../core/log.js'
import type { ChainSettings } from './chain.js'
import { checkDefinition, pluginKinds, setupOrder } from './definition.js'
import { asError, inTime } from './fence.js'
import { isObject, nameOf } from './plain.js'
import { Plugin } from './plugin.js'
import { resolvePlugin } from './resolve.js'
import type { PluginDefinition, PluginKind } from './sdk.js'
import { provideSdk } from './sdk-resolution.js'

/** One entry `[[plugins]]` of the configuration. */
export interface ConfiguredPlugin {
  /** A path from the base folder (`./my-plugin`), the name of an npm package, or the id of a built-in. */
  use: string
  /** The table `[plugins.config]`. */
  config?: Record<string, unknown>
  /** The folder that its path or package is looked for from, if not that of all. */
  baseFolder?: string
}

export interface LoadOptions {
  builtins: readonly PluginDefinition<unknown>[]
  configured: readonly ConfiguredPlugin[]
  /** The folder of the configuration file: paths and packages are looked for from there. Default: the current one. */
  baseFolder?: string
  /** Configured plugins of other kinds are left out: a runner needs executors, and nothing else of a common configuration. */
  kinds?: readonly PluginKind[]
  /** How classifiers are asked; `defaultChain` unless told. */
  chain?: ChainSettings
  log: Log
  clock: Clock
  /** Brings in the module at a file URL; by default `import()`. */
  importModule?: (url: string) => Promise<unknown>
}

const importMs = 10_000
const configuredLimit = 100

/**
 * Loads every plugin and sets them up, in the order of their lists and of what they require. Gives them in the order of
 * the lists, and those that are ready in the order of their setup.
 * @throws SignalboxError `internal` for a built-in that fails, once those set up before are closed again; `invalid` for a
 * configuration that names more than 100 plugins.
 */
export async function bringIn(options: LoadOptions): Promise<{ plugins: Plugin[]; ready: Plugin[] }> {
  const plugins = options.builtins.map((definition) => declareBuiltin(definition, options))
  if (options.configured.length > configuredLimit) {
    throw new SignalboxError('invalid', `more than ${configuredLimit} plugins are configured`)
  }
  for (const entry of options.configured) {
    if (!isWanted(kindsNamed(entry.use), options)) continue
    const builtin = plugins.find((plugin) => plugin.builtin && plugin.id === entry.use)
    if (builtin && builtin.use === null) {
      builtin.use = entry.use
      builtin.given = entry.config ?? {}
    } else {
      const plugin = await declareConfigured(entry, plugins, options)
      if (plugin.state === 'failed' || isWanted(plugin.kinds, options)) plugins.push(plugin)
    }
  }
  for (const plugin of plugins) if (plugin.state === 'loading') attempt(plugin, 'config', () => plugin.configure())
  const candidates = plugins
    .filter((plugin) => plugin.state === 'loading')
    .map((plugin) => ({ plugin, id: plugin.id, requires: plugin.definition?.requires ?? [] }))
  const { order, impossible } = setupOrder(candidates)
  for (const [{ plugin }, reason] of impossible) reject(plugin, 'requires', new Error(reason))
  return {
    plugins,
    ready: await setUpAll(
      order.map(({ plugin }) => plugin),
      options.clock,
    ),
  }
}

function declareBuiltin(definition: PluginDefinition<unknown>, { clock, log }: LoadOptions): Plugin {
  const plugin = new Plugin({ name: String(definition.id), use: null, builtin: true, clock, log })
  attempt(plugin, 'load', () => {
    const checked = checkDefinition(definition)
    plugin.define(checked.definition, checked.kinds)
  })
  return plugin
}

async function declareConfigured(
  entry: ConfiguredPlugin,
  others: readonly Plugin[],
  options: LoadOptions,
): Promise<Plugin> {
  const { clock, log, importModule = (url) => import(url) } = options
  const use: unknown = entry.use
  const name = typeof use === 'string' ? use : nameOf(use)
  const plugin = new Plugin({ name, use: name, builtin: false, clock, log })
  plugin.given = entry.config ?? {}
  try {
    if (typeof use !== 'string') throw new Error(`use must be a text, not ${nameOf(use)}`)
    const { entry: file, kinds } = await resolvePlugin(use, entry.baseFolder ?? options.baseFolder ?? process.cwd())
    plugin.kinds = kinds ?? []
    if (kinds && !isWanted(kinds, options)) return plugin
    provideSdk()
    const module = await inTime(clock, importMs, () => importModule(pathToFileURL(file).href))
    const checked = checkDefinition(isObject(module) ? module.default : undefined, kinds)
    if (others.some((one) => one.id === checked.definition.id)) {
      throw new Error(`there is a plugin ${checked.definition.id} already`)
    }
    plugin.define(checked.definition, checked.kinds)
  } catch (error) {
    plugin.fail('load', error)
  }
  return plugin
}

/** The kind that the id of a built-in names; every kind for a path or package, which must be looked at. */
function kindsNamed(use: unknown): readonly PluginKind[] {
  const word = typeof use === 'string' ? /^([a-z]+)\.[a-z][a-z0-9-]*$/.exec(use)?.[1] : undefined
  const kind = pluginKinds.find((one) => one === word)
  return kind ? [kind] : pluginKinds
}

function isWanted(kinds: readonly PluginKind[], options: LoadOptions): boolean {
  return !options.kinds || options.kinds.some((kind) => kinds.includes(kind))
}

async function setUpAll(order: readonly Plugin[], clock: Clock): Promise<Plugin[]> {
  const ready: Plugin[] = []
  for (const plugin of order) {
    try {
      const missing = plugin.definition?.requires?.find((id) => !ready.some((one) => one.id === id))
      if (missing !== undefined) throw new Error(`requires ${missing}, which is not ready`)
      const executors = ready.flatMap((one) => one.hooks.executors.map(({ name }) => name))
      await plugin.setUp(new Set(executors))
      ready.push(plugin)
    } catch (error) {
      if (plugin.builtin) await closeAll(ready, clock)
      reject(plugin, 'setup', error)
    }
  }
  return ready
}

/** Closing everything takes no longer than this, whatever plugins do. */
const closeAllMs = 5000
const closeMs = 2000

/** Closes the plugins in reverse. Never rejects. */
export async function closeAll(ready: readonly Plugin[], clock: Clock): Promise<void> {
  const until = clock.now() + closeAllMs
  for (const plugin of [...ready].reverse()) await plugin.close(Math.max(0, Math.min(closeMs, until - clock.now())))
}

function attempt(plugin: Plugin, what: string, act: () => void): void {
  try {
    act()
  } catch (error) {
    reject(plugin, what, error)
  }
}

/** The plugin stays out; if it is a built-in, nothing starts. */
function reject(plugin: Plugin, what: string, error: unknown): void {
  plugin.fail(what, error)
  if (plugin.builtin) {
    throw new SignalboxError('internal', `the built-in plugin ${plugin.id} failed: ${asError(error).message}`, {
      cause: error,
    })
  }
}
