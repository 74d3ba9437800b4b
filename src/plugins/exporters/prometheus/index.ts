/** The Prometheus exporter. */
import type { MetricObjectWithValues, MetricValue } from 'prom-client'
import { definePlugin } from '../../sdk.js'
import { eventCounters } from './event-counters.js'
import { ProcessFigures } from './process-figures.js'
import { type Family, formatFor, fromGauge, render, type Sample } from './render.js'

/** `/metrics`: counters from committed events, the node's gauges, and a few figures of the process. */
export default definePlugin({
  id: 'exporter.prometheus',
  apiVersion: 1,
  async setup(host) {
    // Loaded here and not above: whoever takes only the executors from the list of built-ins does not pay for it.
    const prom = await import('prom-client')
    const registry = new prom.Registry()
    const count = eventCounters(prom, registry)
    const figures = new ProcessFigures()
    figures.start()
    host.export('prometheus', {
      onEvents(events) {
        for (const event of events) count(event)
      },
      async scrape(gauges, accept) {
        const counted = (await registry.getMetricsAsJSON()).map(fromProm)
        const read = [...gauges, ...figures.read()].map(fromGauge)
        return render([...counted, ...read], formatFor(accept))
      },
    })
    return { close: () => figures.stop() }
  },
})

/** prom-client gives samples of a histogram a name of their own, which its types leave out. */
function fromProm(metric: MetricObjectWithValues<MetricValue<string>>): Family {
  const values = metric.values as (Omit<Sample, 'name'> & { metricName?: string })[]
  return {
    name: metric.name,
    help: metric.help,
    type: metric.type as unknown as Family['type'],
    samples: values.map(({ metricName, labels, value }) => ({ name: metricName ?? metric.name, labels, value })),
  }
}
