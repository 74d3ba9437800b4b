/**
 * Writes metrics in the text format of Prometheus or in OpenMetrics, whichever was asked for.
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * prom-client keeps the figures but does not write them: for OpenMetrics it renames a counter for good, and gives one
 * without `_total` (GitLab has such names) another name than in the text format.
 */
import type { Gauge, Scrape } from '../../sdk.js'

export type Format = 'text' | 'openmetrics'

export interface Family {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  samples: Sample[]
}

export interface Sample {
  /** The family's name with its suffix (`_bucket`…). */
  name: string
  labels: Readonly<Record<string, string | number>>
  value: number
}

const contentTypes: Record<Format, string> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

const acceptLength = 2000

/** The format that a request's `Accept` header prefers; text where it says nothing of either. */
export function formatFor(accept: string): Format {
  const weights: Record<Format, number> = { text: 0, openmetrics: 0 }
  for (const range of accept.slice(0, acceptLength).split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const q = parameters.find((part) => part.startsWith('q='))
    const weight = q === undefined ? 1 : Number(q.slice(2)) || 0
    if (type === 'application/openmetrics-text') weights.openmetrics = Math.max(weights.openmetrics, weight)
    if (type === 'text/plain') weights.text = Math.max(weights.text, weight)
  }
  return weights.openmetrics > 0 && weights.openmetrics >= weights.text ? 'openmetrics' : 'text'
}

/** The page with these families; of two with one name the first. */
export function render(families: readonly Family[], format: Format): Scrape {
  const lines: string[] = []
  const taken = new Set<string>()
  for (const family of families) {
    if (taken.has(family.name)) continue
    taken.add(family.name)
    const total = family.type === 'counter' && family.name.endsWith('_total')
    const name = format === 'openmetrics' && total ? family.name.slice(0, -'_total'.length) : family.name
    // In OpenMetrics every counter ends with _total; one that does not, and must keep its name, has no known type.
    const type = format === 'openmetrics' && family.type === 'counter' && !total ? 'unknown' : family.type
    lines.push(`# HELP ${name} ${escapeHelp(family.help, format)}`, `# TYPE ${name} ${type}`)
    for (const sample of family.samples) lines.push(line(sample, format))
  }
  if (format === 'openmetrics') lines.push('# EOF')
  return { contentType: contentTypes[format], body: `${lines.join('\n')}\n` }
}

function line({ name, labels, value }: Sample, format: Format): string {
  const pairs = Object.entries(labels).map(([label, text]) => {
    const shown = label === 'le' && format === 'openmetrics' ? canonical(text) : String(text)
    return `${label}="${escapeLabel(shown)}"`
  })
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${number(value)}`
}

/** OpenMetrics writes the bounds of buckets as floating-point numbers: `1.0`, not `1`. */
function canonical(bound: string | number): string {
  return typeof bound === 'number' && Number.isInteger(bound) && bound < 1e15 ? `${bound}.0` : String(bound)
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return String(value)
}

function escapeHelp(text: string, format: Format): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  return format === 'openmetrics' ? escaped.replaceAll('"', '\\"') : escaped
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}

/** A figure of the node or of a plugin as a family of samples. */
export function fromGauge({ name, help, type = 'gauge', values }: Gauge): Family {
  return { name, help, type, samples: values.map(({ labels, value }) => ({ name, labels, value })) }
}
