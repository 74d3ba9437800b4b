/** The metrics of one plugin. What is not right is dropped and counted; nothing here throws at the plugin. */
import { isObject } from './plain.js'
import type { Gauge, PluginMetrics } from './sdk.js'

const seriesLimit = 2000
const labelLimit = 10
const valueLength = 128
const namePattern = /^[a-z][a-z0-9_]{0,63}$/
const labelPattern = /^[a-z][a-z0-9_]{0,63}$/

/** Metrics on their way between processes: type, name, labels and value of each series. */
export interface MetricsSnapshot {
  series: ['gauge' | 'counter', string, Record<string, string>, number][]
  dropped: number
}

interface Family {
  type: 'gauge' | 'counter'
  series: Map<string, { labels: Record<string, string>; value: number }>
}

export class PluginMetricsScope implements PluginMetrics {
  readonly #id: string
  readonly #families = new Map<string, Family>()
  #series = 0
  #dropped = 0

  constructor(id: string) {
    this.#id = id
  }

  /** Calls that were dropped. */
  get dropped(): number {
    return this.#dropped
  }

  /** Counts calls that were dropped elsewhere. */
  drop(calls: number): void {
    this.#dropped += calls
  }

  count(name: string, labels: Record<string, string> = {}, by = 1): void {
    const series = by >= 0 ? this.#seriesOf(name, 'counter', labels, by) : undefined
    if (series) series.value += by
    else this.#dropped++
  }

  gauge(name: string, value: number, labels: Record<string, string> = {}): void {
    const series = this.#seriesOf(name, 'gauge', labels, value)
    if (series) series.value = value
    else this.#dropped++
  }

  /** Every family of the plugin under its full name. */
  gather(): Gauge[] {
    return [...this.#families].map(([name, { type, series }]) => ({
      name: fullName(this.#id, name, type),
      help: `${type === 'counter' ? 'Counted' : 'Set'} by the plugin ${this.#id}.`,
      type,
      values: [...series.values()].map(({ labels, value }) => ({ labels: { ...labels }, value })),
    }))
  }

  /** Everything as it stands, for a process that hands it on with `restore`. */
  snapshot(): MetricsSnapshot {
    const series = [...this.#families].flatMap(([name, family]) =>
      [...family.series.values()].map(({ labels, value }): MetricsSnapshot['series'][number] => [
        family.type,
        name,
        labels,
        value,
      ]),
    )
    return { series, dropped: this.#dropped }
  }

  #seriesOf(name: unknown, type: Family['type'], labels: unknown, value: unknown) {
    if (typeof name !== 'string' || !namePattern.test(name)) return undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) return undefined
    const checked = checkedLabels(labels)
    if (!checked) return undefined
    const family = this.#families.get(name) ?? { type, series: new Map() }
    if (family.type !== type) return undefined
    const key = JSON.stringify(checked)
    const known = family.series.get(key)
    if (known) return known
    if (this.#series >= seriesLimit) return undefined
    const made = { labels: Object.fromEntries(checked), value: 0 }
    family.series.set(key, made)
    this.#families.set(name, family)
    this.#series++
    return made
  }
}

/** The metrics that another process says a plugin has: nothing of it is trusted. */
export function restoredMetrics(id: string, snapshot: unknown): PluginMetricsScope {
  const scope = new PluginMetricsScope(id)
  if (!isObject(snapshot) || !Array.isArray(snapshot.series)) return scope
  for (const one of snapshot.series.slice(0, seriesLimit)) {
    const [type, name, labels, value] = Array.isArray(one) ? one : []
    if (type === 'counter') scope.count(name, labels, value)
    else scope.gauge(name, value, labels)
  }
  if (typeof snapshot.dropped === 'number') scope.drop(snapshot.dropped)
  return scope
}

function fullName(id: string, name: string, type: Family['type']): string {
  const suffix = type === 'counter' && !name.endsWith('_total') ? '_total' : ''
  return `signalbox_plugin_${id.replace(/[^a-z0-9]/g, '_')}_${name}${suffix}`
}

/** The labels in the order of their names; undefined if one of them is not right. */
function checkedLabels(labels: unknown): [string, string][] | undefined {
  try {
    const entries = Object.entries(labels as Record<string, unknown>)
    const right = entries.every(
      ([name, value]) => labelPattern.test(name) && typeof value === 'string' && value.length <= valueLength,
    )
    if (!right || entries.length > labelLimit) return undefined
    return (entries as [string, string][]).sort(([a], [b]) => (a < b ? -1 : 1))
  } catch {
    return undefined
  }
}
