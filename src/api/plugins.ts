/** Plugins: how each does, and out of use or in again; and what admission rules have said of a job. For administrators. */
import { SignalboxError } from '../core/errors.js'
import { listJobEvents } from '../core/store/events.js'
import { findJob } from '../core/store/jobs.js'
import { idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import { adminRoute } from './route.js'

/** A plugin as the host knows it. */
export interface PluginFacts {
  id: string
  use: string | null
  builtin: boolean
  kinds: string[]
  state: string
  health: string
  hooks: string[]
  lastError: string | null
  lastErrorAt: number | null
  calls: number
  failures: number
  refused: number
  latencyMs: { median: number; slowest: number }
  process: {
    pid: number | null
    residentBytes: number
    limitBytes: number
    restarts: number
    permissions: string[]
  } | null
}

/** The host, as far as the API asks it. */
export interface PluginHostFace {
  list(): PluginFacts[]
  enable(id: string, enabled: boolean): Promise<PluginFacts>
}

/** For a coordinator without a host. */
export const noPlugins: PluginHostFace = {
  list: () => [],
  enable: (id) => Promise.reject(new SignalboxError('not_found', `no plugin ${JSON.stringify(id)} is configured`)),
}

/** The routes; `plugins` are those of the node that answers. */
export function pluginRoutes(plugins: PluginHostFace): readonly Route[] {
  return [
    adminRoute('get', '/plugins', async () => ({ status: 200, body: plugins.list().map(toPlugin) })),
    adminRoute('post', '/plugins/:id/enable', (call) => setEnabled(plugins, call, true)),
    adminRoute('post', '/plugins/:id/disable', (call) => setEnabled(plugins, call, false)),
    adminRoute('get', '/jobs/:id/admission', showDecisions),
  ]
}

async function setEnabled(plugins: PluginHostFace, { core, actor, path }: UserCall, enabled: boolean): Promise<Reply> {
  const plugin = await plugins.enable(path('id'), enabled)
  core.log.warn({ plugin: plugin.id, user: actor.user.id }, enabled ? 'a plugin was enabled' : 'a plugin was disabled')
  return { status: 200, body: toPlugin(plugin) }
}

async function showDecisions({ core, path }: UserCall): Promise<Reply> {
  const { read } = core.store
  const id = idFrom(path('id'))
  const job = id === undefined ? undefined : await findJob(read, id)
  if (!job) throw new SignalboxError('not_found', 'there is no such job')
  const events = (await listJobEvents(read, job.id)).filter(({ kind }) => kind === 'job.admission')
  return { status: 200, body: events.map(({ at, data }) => ({ at: new Date(at).toISOString(), ...JSON.parse(data) })) }
}

function toPlugin(plugin: PluginFacts) {
  const { process } = plugin
  return {
    id: plugin.id,
    use: plugin.use,
    builtin: plugin.builtin,
    kinds: plugin.kinds,
    state: plugin.state,
    health: plugin.health,
    hooks: plugin.hooks,
    last_error: plugin.lastError,
    last_error_at: plugin.lastErrorAt === null ? null : new Date(plugin.lastErrorAt).toISOString(),
    calls: plugin.calls,
    failures: plugin.failures,
    refused_calls: plugin.refused,
    latency_ms: plugin.latencyMs,
    process: process && {
      pid: process.pid,
      resident_bytes: process.residentBytes,
      limit_bytes: process.limitBytes,
      restarts: process.restarts,
      permissions: process.permissions,
    },
  }
}
