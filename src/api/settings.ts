/** The settings in force, for administrators: `GET /settings`. Secrets are none of them: see `CoreSettings`. */
import { defaultCoreSettings } from '../core/core.js'
import type { Route } from '../http/call.js'
import { adminRoute } from './route.js'

export const settingsRoutes: readonly Route[] = [
  adminRoute('get', '/settings', async ({ core }) => {
    const usual = new Map(flat(defaultCoreSettings))
    const body = [
      { name: 'external_url', value: core.externalUrl(), usual: null },
      { name: 'database', value: core.store.engine, usual: 'sqlite' },
      ...flat(core.settings).map(([name, value]) => ({ name, value, usual: usual.get(name) ?? null })),
    ]
    return { status: 200, body }
  }),
]

type Plain = string | number | boolean | null

/** Each value by the dotted name of its place; times in milliseconds, where the name says so. */
function flat(value: object, above = ''): [name: string, value: Plain][] {
  return Object.entries(value).flatMap(([key, inner]): [string, Plain][] => {
    const own = key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    const name = above === '' ? own : `${above}.${own}`
    if (Array.isArray(inner))
      return [[name, inner.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join(', ')]]
    if (typeof inner === 'object' && inner !== null) return flat(inner as object, name)
    return [[name, (inner ?? null) as Plain]]
  })
}
