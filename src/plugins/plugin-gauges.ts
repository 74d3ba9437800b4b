/** What the node knows of its plugins, and what they say of themselves, as figures for `/metrics`. */
import type { ExporterFeed } from './feed.js'
import type { Plugin } from './plugin.js'
import type { Gauge } from './sdk.js'

/** The figures of all plugins; each name once, the first plugin to use it has it. */
export async function pluginGauges(plugins: readonly Plugin[], feed: ExporterFeed | undefined): Promise<Gauge[]> {
  const gauges = ownGauges(plugins)
  if (feed) {
    gauges.push({
      name: 'signalbox_exporter_lag_events',
      help: 'Committed events that the exporter has not handled yet.',
      values: (await feed.lags()).map(({ exporter, events }) => ({ labels: { exporter }, value: events })),
    })
  }
  const taken = new Set(gauges.map(({ name }) => name))
  for (const gauge of plugins.flatMap((plugin) => plugin.metrics().families)) {
    if (!taken.has(gauge.name)) gauges.push(gauge)
    taken.add(gauge.name)
  }
  return gauges
}

function ownGauges(plugins: readonly Plugin[]): Gauge[] {
  // What could not be loaded goes by what was configured, which may be the same twice.
  const byId = new Map(plugins.map((plugin) => [plugin.id, plugin]))
  const each = (figure: (plugin: Plugin) => number) =>
    [...byId].map(([id, plugin]) => ({ labels: { plugin: id }, value: figure(plugin) }))
  const total = (name: string, help: string, figure: (plugin: Plugin) => number): Gauge => ({
    name: `signalbox_plugin_${name}_total`,
    help,
    type: 'counter',
    values: each(figure),
  })
  return [
    {
      name: 'signalbox_plugin_up',
      help: 'Whether the plugin is in use: 1, or 0 for one that is degraded.',
      values: each((plugin) => (plugin.status().state === 'ready' ? 1 : 0)),
    },
    total('calls', 'Calls of the hooks of the plugin.', (plugin) => plugin.fence.counts.calls),
    total('failures', 'Calls that failed or were late.', (plugin) => plugin.fence.counts.failures),
    total('refused_calls', 'Calls not made: too many failures, or too many waiting.', (p) => p.fence.counts.refused),
    total('call_seconds', 'Time that calls of the plugin took.', (p) => p.fence.latency.totalMs / 1000),
    total('restarts', 'Processes of the plugin that were started after its first.', (p) => p.process?.restarts ?? 0),
    {
      name: 'signalbox_plugin_resident_memory_bytes',
      help: 'Resident memory of the process of the plugin; a built-in has none of its own.',
      values: [...byId].flatMap(([plugin, { process }]) =>
        process ? [{ labels: { plugin }, value: process.residentBytes }] : [],
      ),
    },
    total('dropped_metrics', 'Metrics of the plugin that were wrong or too many.', (p) => p.metrics().dropped),
  ]
}
