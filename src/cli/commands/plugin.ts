/** `signalbox plugin list|enable|disable`. */
import { openContext } from '../context.js'
import { table } from '../terminal.js'

/** A plugin as the API tells of it, as far as it is shown. */
export interface PluginEntity {
  id: string
  state: string
  health: string
  builtin: boolean
  last_error: string | null
  calls: number
  failures: number
  refused_calls: number
  latency_ms: { median: number; slowest: number }
  process: { pid: number | null; resident_bytes: number; restarts: number } | null
}

/** Prints every plugin: how it does, and what it was last at fault for. */
export async function listPlugins(options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const plugins = await client().get<PluginEntity[]>('/api/signalbox/v1/plugins')
  if (options.json) return json(plugins)
  table(
    terminal,
    ['PLUGIN', 'STATE', 'CALLS', 'FAILED', 'NOT MADE', 'MEDIAN', 'SLOWEST', 'MEMORY', 'STARTS', 'LAST ERROR'],
    plugins.map((plugin) => [
      plugin.id,
      plugin.state,
      String(plugin.calls),
      String(plugin.failures),
      String(plugin.refused_calls),
      `${plugin.latency_ms.median} ms`,
      `${plugin.latency_ms.slowest} ms`,
      plugin.process ? `${Math.round(plugin.process.resident_bytes / 1024 / 1024)} MiB` : 'built in',
      plugin.process ? String(plugin.process.restarts + 1) : '',
      plugin.last_error ?? '',
    ]),
  )
}

/** Takes a plugin out of use on the node that answers, or brings it back. */
export async function switchPlugin(verb: 'enable' | 'disable', id: string): Promise<void> {
  const { client, terminal } = openContext()
  const plugin = await client().post<PluginEntity>(`/api/signalbox/v1/plugins/${encodeURIComponent(id)}/${verb}`)
  terminal.say(`${plugin.id}: ${plugin.state}${plugin.last_error === null ? '' : ` (${plugin.last_error})`}`)
}
