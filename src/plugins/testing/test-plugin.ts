/**
 * A plugin in a test of its author: set up in the test's own process against a host that remembers what it is told. Answers
 * are checked and configurations refused as by Signalbox. What the rest of the world does is the test's: nothing runs beside.
 */
import { asAdmission, asCapabilities, asPrepareResult, asRunResult, asScrape, asVerdict } from '../answers.js'
import { Here } from '../here.js'
import { oneLine } from '../plain.js'
import type { Hooks, Named } from '../scope.js'
import type {
  AdmissionRequest,
  AdmissionVerdict,
  Evidence,
  ExecutorFacts,
  ExecutorRunner,
  ExportedEvent,
  Gauge,
  Json,
  PluginDefinition,
  Scrape,
  Verdict,
} from '../sdk.js'

/** How a plugin is set up in a test. */
export interface TestOptions {
  /** The table `[plugins.config]`; nothing unless told. */
  config?: Record<string, Json>
  /** What `host.now()` gives at first, in milliseconds since 1970; the real time unless told. */
  now?: number
}

/** A line that the plugin has logged. */
export interface LoggedLine {
  /** How grave it is. */
  level: 'debug' | 'info' | 'warn' | 'error'
  /** What goes with it. */
  fields: Record<string, Json>
  /** The sentence. */
  message: string
}

/** An executor in a test. Its runner's answers are checked. */
export interface TestExecutor {
  /** Asks for its features. */
  capabilities(facts: ExecutorFacts): Promise<string[]>
  /** The half beside the runner. Throws if the executor has none. */
  readonly runner: ExecutorRunner
}

/** A plugin that is set up. The name of a hook is needed where the plugin has several of a kind. */
export interface TestPlugin {
  /** Its hooks, such as `classifier my-rules`. */
  readonly hooks: readonly string[]
  /** What it has logged. */
  readonly logged: readonly LoggedLine[]
  /** Its metrics under the names that `/metrics` has, without labels of its own: `name` or `name{label="value"}`. */
  metrics(): Record<string, number>
  /** From now on `host.now()` gives this, in milliseconds since 1970. */
  setTime(now: number): void
  /** Asks a classifier. Rejects for an answer that Signalbox would not take. */
  classify(evidence: Evidence, name?: string): Promise<Verdict | undefined>
  /** Asks an admission rule. Rejects for an answer that Signalbox would not take. */
  admit(request: AdmissionRequest, name?: string): Promise<AdmissionVerdict>
  /** Hands events to an exporter. */
  export(events: readonly ExportedEvent[], name?: string): Promise<void>
  /** Asks an exporter for its page. */
  scrape(gauges?: readonly Gauge[], accept?: string, name?: string): Promise<Scrape>
  /** The executor of this name. */
  executor(name?: string): TestExecutor
  /** Ends the plugin: its signal is aborted and its `close` called. */
  close(): Promise<void>
}

const realClock = {
  after(ms: number, fn: () => void) {
    const timer = setTimeout(fn, ms)
    return () => clearTimeout(timer)
  },
}
const closeMs = 2000

/**
 * Sets a plugin up as Signalbox does, without a coordinator. Rejects with what Signalbox would show: a definition or a
 * configuration that is not right, or what `setup` throws.
 */
export async function startPlugin<C>(definition: PluginDefinition<C>, options: TestOptions = {}): Promise<TestPlugin> {
  const here = new Here({ clock: realClock, bringIn: () => definition, kinds: undefined })
  await here.load()
  await here.configure(options.config ?? {})
  let now = options.now
  const logged: LoggedLine[] = []
  const write = (level: LoggedLine['level']) => (fields: Record<string, Json>, message: string) => {
    logged.push({ level, fields: structuredClone(fields), message: oneLine(String(message), 4096) })
  }
  const logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const hooks = await here.setUp(new Set(), { logger, now: () => now ?? Date.now() })
  return {
    hooks: namesOf(hooks),
    logged,
    metrics: () => figures(here.metrics().families),
    setTime: (given) => {
      now = given
    },
    classify: async (evidence, name) =>
      asVerdict(await pick(hooks.classifiers, 'classifier', name)(structuredClone(evidence))),
    admit: async (request, name) =>
      asAdmission(await pick(hooks.admissions, 'admission', name)(structuredClone(request))),
    export: async (events, name) => {
      await pick(hooks.exporters, 'exporter', name).onEvents?.(structuredClone([...events]))
    },
    scrape: async (gauges = [], accept = '', name) =>
      asScrape(await pick(hooks.exporters, 'exporter', name).scrape?.(structuredClone([...gauges]), accept)),
    executor: (name) => testExecutor(hooks, name),
    close: () => here.close(closeMs),
  }
}

function testExecutor(hooks: Hooks, name: string | undefined): TestExecutor {
  const executor = pick(hooks.executors, 'executor', name)
  return {
    capabilities: async (facts) => asCapabilities(await executor.capabilities(structuredClone(facts))),
    get runner(): ExecutorRunner {
      const { runner } = executor
      if (!runner) throw new Error('the executor has no half beside the runner')
      return {
        prepare: async (input, output) => asPrepareResult(await runner.prepare(structuredClone(input), output)),
        run: async (input, output) => asRunResult(await runner.run(structuredClone(input), output)),
        cancel: (input) => runner.cancel(input),
        cleanUp: (input) => runner.cleanUp(input),
      }
    },
  }
}

function pick<T>(list: readonly Named<T>[], kind: string, name: string | undefined): T {
  const found = name === undefined && list.length === 1 ? list[0] : list.find((one) => one.name === name)
  if (found) return found.hook
  const names = list.map((one) => one.name).join(', ') || 'none'
  throw new Error(`the plugin has no one ${kind}${name === undefined ? '' : ` ${name}`}: it has ${names}`)
}

function namesOf(hooks: Hooks): string[] {
  return [
    ...hooks.executors.map(({ name }) => `executor ${name}`),
    ...hooks.classifiers.map(({ name }) => `classifier ${name}`),
    ...hooks.exporters.map(({ name }) => `exporter ${name}`),
    ...hooks.admissions.map(({ name }) => `admission ${name}`),
  ]
}

function figures(families: readonly Gauge[]): Record<string, number> {
  const series = families.flatMap(({ name, values }) =>
    values.map(({ labels, value }) => {
      const shown = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`)
      return [shown.length === 0 ? name : `${name}{${shown.join(',')}}`, value] as const
    }),
  )
  return Object.fromEntries(series)
}
