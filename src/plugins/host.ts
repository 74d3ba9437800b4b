/**
 * The plugins of a node or of a runner. What they contribute reaches the rest as plain functions (`classify`,
 * `capabilitiesOf`, `executor`, `scrape`); every call goes through the plugin's fence, and a plugin that fails is passed
 * over: the caller gets what it would get without it.
 */
import type { AdmissionRules } from '../core/admission.js'
import type { CapabilityChanges } from '../core/capability-changes.js'
import type { Evidence, Judgment } from '../core/evidence.js'
import type { Log } from '../core/log.js'
import { admissionRules } from './admission-rules.js'
import { asScrape, asVerdict } from './answers.js'
import { Capabilities } from './capabilities.js'
import { type ChainSettings, defaultChain, inOrder, isSure, judgmentOf, surer } from './chain.js'
import type { ExporterFeed, FeedCore } from './feed.js'
import { fencedExecutor } from './fenced-executor.js'
import type { Plugin, PluginStatus } from './plugin.js'
import { pluginGauges } from './plugin-gauges.js'
import { type LoadOptions, Roster } from './roster.js'
import type { Named } from './scope.js'
import type { Executor, ExecutorFacts, Gauge, Scrape } from './sdk.js'

export type { PluginStatus } from './plugin.js'
export type { ConfiguredPlugin, LoadOptions } from './roster.js'

/** A verdict of a configured plugin, with who gave it. */
export interface LateVerdict {
  /** The plugin's id. */
  plugin: string
  /** The classifier's name. */
  classifier: string
  verdict: Judgment
}

/** Classifiers and exporters answer within this. */
const deadlineMs = 2000
/** A built-in classifier decides on the way of a finishing job. */
const quickMs = 5

/**
 * Loads, configures and sets up the plugins. One that is configured and fails is shown by `list` as degraded with its
 * error, and is otherwise not there.
 * @throws SignalboxError `internal` when a built-in fails.
 */
export async function loadPlugins(options: LoadOptions): Promise<Plugins> {
  const roster = new Roster(options)
  await roster.bringIn()
  return new Plugins(roster, options)
}

export class Plugins {
  readonly #roster: Roster
  readonly #log: Log
  readonly #chain: ChainSettings
  readonly #capabilities: Capabilities
  #feed: ExporterFeed | undefined
  #started: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(roster: Roster, { log, clock, chain = defaultChain }: Pick<LoadOptions, 'log' | 'clock' | 'chain'>) {
    this.#roster = roster
    this.#capabilities = new Capabilities(clock)
    this.#log = log
    this.#chain = chain
    roster.onChange(() => {
      this.#capabilities.forget()
      this.#feed?.follow(this.#exporters())
    })
  }

  /**
   * The verdict of the first built-in classifier that is sure enough; if none is, that of the surest. Pure and at once, for
   * the way of a finishing job.
   */
  classify(evidence: Evidence): Judgment | undefined {
    const shown = Object.freeze({ ...evidence, job: Object.freeze({ ...evidence.job }) })
    let best: Judgment | undefined
    for (const { plugin, name, hook } of this.#classifiers(true)) {
      const startedAt = performance.now()
      const answer = plugin.fence.callNow(`classify ${name}`, () => hook(shown), asVerdict)
      const tookMs = performance.now() - startedAt
      if (tookMs > quickMs) this.#log.warn({ plugin: plugin.id, classifier: name, ms: tookMs }, 'a classifier is slow')
      if (!answer.ok || !answer.value) continue
      const judgment = judgmentOf(plugin.id, name, answer.value)
      if (isSure(judgment, this.#chain)) return judgment
      best = surer(best, judgment)
    }
    return best
  }

  /** Whether a configured plugin classifies, or may once it is set up. */
  get classifiesLater(): boolean {
    return this.#roster.plugins.some(
      ({ builtin, kinds }) => !builtin && (kinds.length === 0 || kinds.includes('classifier')),
    )
  }

  /**
   * The verdict of the first configured classifier that is sure enough, in the order of the chain. For after the finishing
   * transaction: each may take 2 s. Never rejects.
   */
  async classifyLater(evidence: Evidence): Promise<LateVerdict | undefined> {
    for (const { plugin, name, hook } of this.#classifiers(false)) {
      const answer = await plugin.fence.call(`classify ${name}`, () => hook(structuredClone(evidence)), asVerdict, {
        deadlineMs,
        order: 'serial',
      })
      if (!answer.ok || !answer.value || !isSure(answer.value, this.#chain)) continue
      const verdict = judgmentOf(plugin.id, name, answer.value)
      return { plugin: plugin.id, classifier: name, verdict }
    }
    return undefined
  }

  /**
   * Features that the manager's executor adds to those that it reports itself; none if no plugin has that executor, or it
   * gives no answer within 2 s. What it has answered for the same facts is at hand.
   */
  capabilitiesOf(facts: ExecutorFacts): string[] | Promise<string[]> {
    const found = this.#executor(facts.executor)
    if (!found) return []
    return this.#capabilities.of(found, facts)
  }

  /** Whether a plugin that could not be set up is tried again. */
  get triesAgain(): boolean {
    return this.#roster.triesAgain
  }

  /** When executors are to be asked anew. */
  get capabilityChanges(): CapabilityChanges {
    return this.#capabilities.changes
  }

  /** The admission rules that are in force at any moment. */
  get admission(): AdmissionRules {
    return admissionRules(() => this.#roster.plugins)
  }

  /** The executor of this name, to run jobs with. */
  executor(name: string): Executor | undefined {
    const found = this.#executor(name)
    if (!found) return undefined
    return found.plugin.builtin ? found.hook : fencedExecutor(found.plugin, name, found.hook)
  }

  /** Names of the executors that are there. */
  executors(): string[] {
    return this.#roster.plugins.flatMap((plugin) => plugin.hooks.executors.map(({ name }) => name))
  }

  /**
   * The page for `GET /metrics`: of the last configured exporter that can make one, else of the built-in. `gauges` are the
   * node's figures; those of the plugins are added. `accept` is the request's header. Undefined if nobody can make one.
   */
  async scrape(gauges: readonly Gauge[], accept = ''): Promise<Scrape | undefined> {
    const exporters = [...this.#hooks('exporters', false).reverse(), ...this.#hooks('exporters', true)]
    const pages = exporters.filter(({ hook }) => typeof hook.scrape === 'function')
    const feed = this.#feed
    if (feed) await Promise.all(pages.map(({ plugin, name }) => feed.catchUp(plugin, name)))
    const all = [...gauges, ...(await this.gauges())]
    for (const { plugin, name, hook } of pages) {
      const shown = plugin.builtin ? all : structuredClone(all)
      const answer = await plugin.fence.call(`scrape ${name}`, () => hook.scrape?.(shown, accept), asScrape, {
        deadlineMs,
        order: 'serial',
      })
      if (answer.ok) return answer.value
    }
    return undefined
  }

  /** What is known of the plugins, and what they say of themselves, as figures. */
  gauges(): Promise<Gauge[]> {
    return pluginGauges(this.#roster.plugins, this.#feed)
  }

  /** Every plugin with its state, in the order of the lists. */
  list(): PluginStatus[] {
    return this.#roster.plugins.map((plugin) => plugin.status())
  }

  /** Takes a configured plugin out of use, or brings it back. Rejects with `not_found`, or `conflict` if another requires it. */
  async enable(id: string, enabled: boolean): Promise<PluginStatus> {
    await (enabled ? this.#roster.enable(id) : this.#roster.disable(id))
    return this.list().find((one) => one.id === id) as PluginStatus
  }

  /**
   * Lets the exporters follow the events from now on. Resolves when each has its place in them: what is committed after
   * that reaches them all. Rejects when the store cannot be read. A repeated call gives the first one's promise.
   */
  startExporters(core: FeedCore): Promise<void> {
    this.#started ??= (async () => {
      // Not loaded by a runner, which has no store.
      const { ExporterFeed } = await import('./feed.js')
      this.#feed = new ExporterFeed(core, this.#exporters())
      await this.#feed.start()
    })()
    return this.#started
  }

  /** Stops the exporters, keeps their places, and closes the plugins in reverse. Never rejects, safe to repeat. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      await this.#started?.catch(() => undefined)
      await this.#feed?.close()
      this.#capabilities.close()
      await this.#roster.close()
    })()
    return this.#closed
  }

  #exporters() {
    return [...this.#hooks('exporters', true), ...this.#hooks('exporters', false)]
  }

  #executor(name: string): { plugin: Plugin; hook: Executor } | undefined {
    for (const plugin of this.#roster.plugins) {
      const found = plugin.hooks.executors.find((one) => one.name === name)
      if (found) return { plugin, hook: found.hook }
    }
    return undefined
  }

  #classifiers(builtin: boolean) {
    return inOrder(this.#hooks('classifiers', builtin), this.#chain.order)
  }

  /** Hooks of the built-ins or of the configured plugins, in the order of the lists. */
  #hooks<Kind extends 'classifiers' | 'exporters'>(kind: Kind, builtin: boolean) {
    type Hook = Plugin['hooks'][Kind][number]['hook']
    return this.#roster.plugins.flatMap((plugin) =>
      plugin.builtin === builtin && plugin.state === 'ready'
        ? (plugin.hooks[kind] as Named<Hook>[]).map(({ name, hook }) => ({ plugin, name, hook }))
        : [],
    )
  }
}
