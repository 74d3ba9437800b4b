/** Compute minutes: what namespaces have used, and what they may. For administrators. */
import { SignalboxError } from '../core/errors.js'
import { limitUsage, setCostFactors } from '../core/operations/edit-usage.js'
import { listUsage } from '../core/store/usage.js'
import { monthOf, type NamespaceUsage, warningFor } from '../core/usage.js'
import { idFrom, type Route } from '../http/call.js'
import { adminRoute } from './route.js'

export const usageRoutes: readonly Route[] = [
  adminRoute('get', '/usage', async ({ core, params }) => {
    const month = params.text('month') ?? monthOf(core.clock.now())
    if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) throw new SignalboxError('invalid', 'month is not one such as 2026-01')
    const namespaces = await listUsage(core.store.read, month)
    return { status: 200, body: { month, namespaces: namespaces.map(toNamespace) } }
  }),
  adminRoute('put', '/usage/limits/:namespace', async ({ core, params, path }) => {
    const minutes = params.raw('minutes') === null ? null : params.integer('minutes')
    if (minutes === undefined) throw new SignalboxError('invalid', 'minutes is missing: a number, or null for no limit')
    await limitUsage(core, { namespace: path('namespace'), minutes })
    return { status: 200, body: { namespace: path('namespace'), minutes } }
  }),
  adminRoute('put', '/usage/cost-factors/:id', async ({ core, params, path }) => {
    const id = idFrom(path('id'))
    if (id === undefined) throw new SignalboxError('not_found', 'there is no such runner')
    const factors = { public: Number(params.raw('public')), private: Number(params.raw('private')) }
    await setCostFactors(core, id, factors)
    return { status: 200, body: { runner_id: id, ...factors } }
  }),
]

function toNamespace(usage: NamespaceUsage): object {
  return {
    id: usage.id,
    path: usage.path,
    minutes: rounded(usage.minutes),
    limit: usage.limit,
    warning: warningFor(usage) ?? null,
    projects: usage.projects.map((project) => ({
      id: project.id,
      /** Null: it is gone. */
      path: project.path,
      minutes: rounded(project.minutes),
      duration_s: project.durationMs / 1000,
      jobs: project.jobs,
    })),
  }
}

const rounded = (minutes: number) => Math.round(minutes * 10_000) / 10_000
