/** What a plugin is given in `setup`, and the hooks that it attaches there. */
import { isHookName } from './definition.js'
import { isObject } from './plain.js'
import type { Admission, Classifier, Executor, Exporter, PluginHost, PluginKind, PluginMetrics } from './sdk.js'

/** A hook under its name. */
export interface Named<T> {
  name: string
  hook: T
}

export interface Hooks {
  executors: Named<Executor>[]
  classifiers: Named<Classifier>[]
  exporters: Named<Exporter>[]
  admissions: Named<Admission>[]
}

export interface ScopeOptions {
  /** Hooks of other kinds are refused. */
  kinds: readonly PluginKind[]
  takenExecutors: ReadonlySet<string>
  host: Pick<PluginHost, 'logger' | 'metrics' | 'now' | 'signal'>
}

export function noHooks(): Hooks {
  return { executors: [], classifiers: [], exporters: [], admissions: [] }
}

/** The host as one plugin sees it. After `shut` no hook can be attached any more. */
export function openScope(options: ScopeOptions): { host: PluginHost; hooks: Hooks; shut: () => void } {
  const hooks = noHooks()
  let open = true
  const attach = <T>(kind: PluginKind, list: Named<T>[], name: string, hook: T, fault: string | undefined) => {
    if (!open) throw new Error(`a hook can be attached during setup only, not later (${kind})`)
    if (!options.kinds.includes(kind)) throw new Error(`the plugin's manifest does not name the kind ${kind}`)
    if (!isHookName(name)) throw new Error(`${kind}: a hook's name is lower-case letters, digits and dashes`)
    if (list.some((one) => one.name === name)) throw new Error(`${kind} ${name} is attached twice`)
    if (fault !== undefined) throw new Error(`${kind} ${name}: ${fault}`)
    list.push({ name, hook })
  }
  const { logger, metrics, now, signal } = options.host
  const host: PluginHost = Object.freeze({
    logger,
    metrics: onlyMetrics(metrics),
    now,
    signal,
    executor(name: string, executor: Executor) {
      const taken = options.takenExecutors.has(name) ? 'another plugin has an executor of this name' : undefined
      attach('executor', hooks.executors, name, executor, taken ?? executorFault(executor))
    },
    classify(name: string, classifier: (typeof hooks.classifiers)[number]['hook']) {
      const fault = typeof classifier === 'function' ? undefined : 'must be a function'
      attach('classifier', hooks.classifiers, name, classifier, fault)
    },
    export(name: string, exporter: Exporter) {
      attach('exporter', hooks.exporters, name, exporter, exporterFault(exporter))
    },
    admit(name: string, admission: Admission) {
      const fault = typeof admission === 'function' ? undefined : 'must be a function'
      attach('admission', hooks.admissions, name, admission, fault)
    },
  })
  return {
    host,
    hooks,
    shut: () => {
      open = false
    },
  }
}

function onlyMetrics(metrics: PluginMetrics): PluginMetrics {
  return Object.freeze({
    count: (...given: Parameters<PluginMetrics['count']>) => metrics.count(...given),
    gauge: (...given: Parameters<PluginMetrics['gauge']>) => metrics.gauge(...given),
  })
}

function executorFault(executor: unknown): string | undefined {
  if (!isObject(executor)) return 'must be an object'
  if (typeof executor.capabilities !== 'function') return 'capabilities must be a function'
  if (executor.runner === undefined) return undefined
  const { runner } = executor
  if (!isObject(runner)) return 'runner must be an object'
  const missing = ['prepare', 'run', 'cancel', 'cleanUp'].find((name) => typeof runner[name] !== 'function')
  return missing === undefined ? undefined : `runner.${missing} must be a function`
}

function exporterFault(exporter: unknown): string | undefined {
  if (!isObject(exporter)) return 'must be an object'
  const { onEvents, scrape } = exporter
  if (onEvents === undefined && scrape === undefined) return 'needs onEvents or scrape'
  if (onEvents !== undefined && typeof onEvents !== 'function') return 'onEvents must be a function'
  if (scrape !== undefined && typeof scrape !== 'function') return 'scrape must be a function'
  return undefined
}
