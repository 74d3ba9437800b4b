/** The rules of a plugin's definition, its configuration, and the order in which plugins are set up. */
import { ignoreRejection } from './fence.js'
import type { AttachedHook, LoadedFacts } from './messages.js'
import { isObject, nameOf, oneLine, ShapeError, toPlainObject } from './plain.js'
import {
  apiVersion,
  type Json,
  PluginConfigError,
  type PluginDefinition,
  type PluginKind,
  type Shape,
  type StandardSchema,
} from './sdk.js'

export const pluginKinds: readonly PluginKind[] = ['executor', 'classifier', 'exporter', 'admission']

const idPattern = /^([a-z][a-z0-9-]*)\.([a-z][a-z0-9-]*)$/
const idLength = 100
/** Of what a schema finds, the first few are told. */
const shownIssues = 5
const configLimits = { values: 10_000, characters: 256 * 1024 }

/** A configuration that a plugin does not take. */
class PluginConfigRefused extends Error {
  override readonly name = 'PluginConfigRefused'
}

/**
 * Checks what a plugin's module exports by default, and gives it as a definition with the kind that its id names. Throws
 * an `Error` that says what is wrong. `kinds`: those that the manifest names; absent: whatever the id names.
 */
export function checkDefinition(
  value: unknown,
  kinds?: readonly PluginKind[],
): { definition: PluginDefinition<unknown>; kinds: PluginKind[] } {
  if (!isObject(value)) throw new Error(`the default export must be what definePlugin gives, not ${nameOf(value)}`)
  // Read once: what is checked is what is used.
  const { id, apiVersion: version, requires, config, setup } = value
  checkApiVersion(version)
  const kind = kindOf(id)
  if (kinds && !kinds.includes(kind))
    throw new Error(`the id ${String(id)} names the kind ${kind}, the manifest does not`)
  if (requires !== undefined && !(Array.isArray(requires) && requires.every((one) => typeof one === 'string'))) {
    throw new Error('requires must be a list of plugin ids')
  }
  if (config !== undefined && typeof config !== 'function' && !isSchema(config)) {
    throw new Error('config must be a schema or a function')
  }
  if (typeof setup !== 'function') throw new Error('setup must be a function')
  return {
    definition: {
      id: id as string,
      apiVersion: version as typeof apiVersion,
      requires: [...((requires as string[] | undefined) ?? [])],
      ...(config === undefined ? {} : { config: readerOf(config, value) }),
      setup: setup.bind(value) as PluginDefinition<unknown>['setup'],
    },
    kinds: kinds ? [...kinds] : [kind],
  }
}

/** What a plugin's process says that it is, checked as the definition is there. */
export function asLoaded(value: unknown, manifestKinds: readonly PluginKind[] | undefined): LoadedFacts {
  const { id, requires, kinds } = toPlainObject(value, configLimits)
  const given = { id, requires, apiVersion, setup: () => undefined }
  const checked = checkDefinition(given, manifestKinds)
  if (!Array.isArray(kinds)) throw new Error('it says nothing of its kinds')
  return { id: checked.definition.id, requires: [...(checked.definition.requires ?? [])], kinds: checked.kinds }
}

/** The hooks that a plugin's process says it has attached, checked as the scope there does. */
export function asAttached(
  value: unknown,
  kinds: readonly PluginKind[],
  takenExecutors: ReadonlySet<string>,
): AttachedHook[] {
  const { hooks } = toPlainObject({ hooks: value }, configLimits)
  if (!Array.isArray(hooks)) throw new Error('it says nothing of its hooks')
  return hooks.map((hook) => {
    const { kind: word, name, methods } = isObject(hook) ? hook : {}
    const kind = kinds.find((one) => one === word)
    if (!kind || !isHookName(name) || !Array.isArray(methods)) throw new Error('it has attached what is no hook of it')
    if (kind === 'executor' && takenExecutors.has(name)) {
      throw new Error(`executor ${name}: another plugin has an executor of this name`)
    }
    return { kind, name, methods: methods.map(String) }
  })
}

const hookPattern = /^[a-z][a-z0-9-]{0,62}$/

/** Whether a text may name a hook. What every object has by itself (`constructor`) is no name. */
export function isHookName(name: unknown): name is string {
  return typeof name === 'string' && hookPattern.test(name) && !(name in {})
}

/** Throws unless it is the version of the surface that this program has. */
export function checkApiVersion(version: unknown): void {
  if (version === apiVersion) return
  const given =
    typeof version === 'number' || typeof version === 'string' ? oneLine(String(version), 20) : nameOf(version)
  throw new Error(`apiVersion is ${given}, and this Signalbox has version ${apiVersion} of the plugin surface`)
}

/**
 * The configuration of a plugin, from the table that was given. Throws `PluginConfigRefused`, which names plugin and key.
 */
export function configOf(definition: PluginDefinition<unknown>, given: unknown): unknown {
  const refused = (key: string, message: string, cause?: unknown) => {
    const where = key === '' ? 'config' : `config key ${JSON.stringify(oneLine(key, 200))}`
    return new PluginConfigRefused(`plugin ${definition.id}: ${where}: ${message}`, { cause })
  }
  let table: Record<string, Json>
  try {
    table = toPlainObject(given ?? {}, configLimits)
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error
    throw refused(error.path, error.path === '' ? error.message : error.message.slice(error.path.length + 2))
  }
  if (!definition.config) {
    const key = Object.keys(table)[0]
    if (key !== undefined) throw refused(key, 'unknown key, the plugin takes no configuration')
    return {}
  }
  let config: unknown
  try {
    config = ignoreRejection((definition.config as ConfigReader)(table))
  } catch (error) {
    // By its name: a plugin may have been built with another copy of the surface.
    if (!isObject(error) || error.name !== 'PluginConfigError') throw error
    throw refused(textOf(error.key), oneLine(textOf(error.message), 600), error)
  }
  if (isObject(config) && typeof config.then === 'function') throw refused('', 'config must answer at once')
  return config
}

type ConfigReader = (given: Record<string, Json>) => unknown

function isSchema(value: unknown): value is StandardSchema<unknown> {
  const standard =
    (typeof value === 'object' || typeof value === 'function') && value !== null ? '~standard' in value : false
  return standard && isObject((value as StandardSchema<unknown>)['~standard'])
}

/** Either form of `config` as a function. Schemas of some libraries are functions themselves. */
function readerOf(config: unknown, plugin: object): ConfigReader {
  return isSchema(config) ? (given) => validated(config, given) : (config as ConfigReader).bind(plugin)
}

function validated(schema: StandardSchema<unknown>, given: Record<string, Json>): unknown {
  const { missing } = schema as Partial<Shape<unknown>>
  if (missing && Object.keys(given).length === 0) return structuredClone(missing.value)
  const checked = schema['~standard'].validate(given)
  if (checked instanceof Promise) throw new PluginConfigError('', 'the schema of config must answer at once')
  if (!checked.issues) return checked.value
  const [first, ...more] = checked.issues.slice(0, shownIssues).map((issue) => ({
    key: (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
    message: textOf(issue.message),
  }))
  const others = more.map(({ key, message }) => `; ${JSON.stringify(key)}: ${message}`).join('')
  throw new PluginConfigError(first?.key ?? '', `${first?.message ?? 'is not right'}${others}`)
}

/** What the order is made of. */
interface Orderable {
  id: string
  requires: readonly string[]
}

/**
 * The order in which plugins are set up: as given, except that each comes after those that it requires. Those that cannot
 * be are named with the reason: they require one that is not there, one another in a circle, or one of these.
 */
export function setupOrder<T extends Orderable>(plugins: readonly T[]): { order: T[]; impossible: Map<T, string> } {
  const byId = new Map(plugins.map((plugin) => [plugin.id, plugin]))
  const impossible = new Map<T, string>()
  const done = new Set<T>()
  const visit = (plugin: T, path: readonly T[]): void => {
    if (done.has(plugin) || impossible.has(plugin)) return
    const at = path.indexOf(plugin)
    if (at >= 0) {
      const circle = path.slice(at)
      const ids = [...circle, plugin].map((one) => one.id).join(' → ')
      for (const one of circle) impossible.set(one, `requires itself in a circle: ${ids}`)
      return
    }
    for (const id of plugin.requires) {
      const required = byId.get(id)
      if (!required) {
        impossible.set(plugin, `requires ${oneLine(id, 100)}, which is not loaded`)
        return
      }
      visit(required, [...path, plugin])
      if (impossible.has(plugin)) return
      if (impossible.has(required)) {
        impossible.set(plugin, `requires ${id}, which cannot be used`)
        return
      }
    }
    done.add(plugin)
  }
  for (const plugin of plugins) visit(plugin, [])
  return { order: [...done], impossible }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function kindOf(id: unknown): PluginKind {
  const match = typeof id === 'string' && id.length <= idLength ? idPattern.exec(id) : null
  if (!match) {
    const given = typeof id === 'string' ? JSON.stringify(oneLine(id, 100)) : nameOf(id)
    throw new Error(`the id must be kind.name in lower-case letters, digits and dashes, not ${given}`)
  }
  const kind = pluginKinds.find((one) => one === match[1])
  if (!kind) throw new Error(`there is no kind ${JSON.stringify(match[1])} of plugin: ${pluginKinds.join(', ')}`)
  if ((match[2] as string) in {}) throw new Error(`the id must not be named ${JSON.stringify(match[2])}`)
  return kind
}
