/**
 * Reads a page of metrics, and throws at whatever the formats do not allow:
 * https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
export interface Page {
  types: Map<string, string>
  samples: Map<string, number>
}

const samplePattern = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const labelPattern = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/
const numberPattern = /^(?:[+-]Inf|NaN|[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/

export function readPage(body: string, format: 'text' | 'openmetrics'): Page {
  const types = new Map<string, string>()
  const samples = new Map<string, number>()
  const lines = body.split('\n')
  if (lines.pop() !== '') throw new Error('the last line has no end')
  if (format === 'openmetrics' && lines.pop() !== '# EOF') throw new Error('no # EOF at the end')
  let family = ''
  for (const line of lines) {
    const meta = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line)
    if (meta) {
      const [, what, name = '', text = ''] = meta
      if (what === 'HELP') {
        if (types.has(name)) throw new Error(`the family ${name} comes twice`)
        family = name
      } else {
        if (name !== family || types.has(name)) throw new Error(`TYPE of ${name} is not after its HELP`)
        types.set(name, text)
      }
      continue
    }
    const [, name = '', labels = '', value = ''] = samplePattern.exec(line) ?? []
    if (name === '') throw new Error(`neither a comment nor a sample: ${line}`)
    if (!suffixes(types.get(family), format).some((suffix) => name === family + suffix)) {
      throw new Error(`${name} does not belong to ${family} (${types.get(family)})`)
    }
    if (!numberPattern.test(value)) throw new Error(`no number: ${line}`)
    const key = `${name}{${readLabels(labels, format).sort().join(',')}}`
    if (samples.has(key)) throw new Error(`the series ${key} comes twice`)
    samples.set(key, Number(value.replace('Inf', 'Infinity')))
  }
  checkHistograms(types, samples)
  if (format === 'openmetrics') checkNames(types)
  return { types, samples }
}

function suffixes(type: string | undefined, format: 'text' | 'openmetrics'): string[] {
  if (type === 'histogram') return ['_bucket', '_sum', '_count']
  if (type === 'counter' && format === 'openmetrics') return ['_total']
  return type === 'counter' || type === 'gauge' || type === 'unknown' ? [''] : []
}

function readLabels(text: string, format: 'text' | 'openmetrics'): string[] {
  const pairs: string[] = []
  for (let rest = text; rest !== ''; ) {
    const match = labelPattern.exec(rest)
    if (!match) throw new Error(`bad labels: ${text}`)
    const [whole, name, value = ''] = match
    if (name === 'le' && format === 'openmetrics' && !/^(?:\+Inf|.*\..*|.*e.*)$/.test(value)) {
      throw new Error(`not a canonical bound: ${value}`)
    }
    pairs.push(`${name}="${value}"`)
    rest = rest.slice(whole.length)
  }
  if (new Set(pairs.map((pair) => pair.split('=')[0])).size !== pairs.length) throw new Error(`a label twice: ${text}`)
  return pairs
}

/** A family's name with any suffix of its type must not be the name of another. */
function checkNames(types: Map<string, string>): void {
  for (const [family, type] of types) {
    const reserved =
      { counter: ['_total', '_created'], histogram: ['_bucket', '_sum', '_count', '_created'] }[type] ?? []
    const taken = reserved.find((suffix) => types.has(family + suffix))
    if (taken) throw new Error(`${family}${taken} belongs to ${family}`)
  }
}

function checkHistograms(types: Map<string, string>, samples: Map<string, number>): void {
  for (const [family, type] of types) {
    if (type !== 'histogram') continue
    const before = new Map<string, number>()
    for (const [key, value] of samples) {
      if (!key.startsWith(`${family}_bucket{`)) continue
      const rest = key
        .slice(`${family}_bucket`.length)
        .replace(/,?le="[^"]*"/, '')
        .replace('{,', '{')
      if (value < (before.get(rest) ?? 0)) throw new Error(`the buckets of ${family}${rest} fall`)
      before.set(rest, value)
    }
    for (const [rest, last] of before) {
      if (samples.get(`${family}_count${rest}`) !== last) throw new Error(`+Inf of ${family}${rest} is not its count`)
    }
  }
}
