/** Administrators say how many compute minutes a namespace may use in a month, and what those of a runner cost. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { findGroupByPath } from '../store/projects.js'
import { getRunner } from '../store/runners.js'
import { listProjectsBelow, saveCostFactors, saveLimit } from '../store/usage.js'
import type { CostFactors } from '../usage.js'
import { countUsage, setOverQuota } from './count-usage.js'

const mostMinutes = 2 ** 31 - 1

/** `minutes` null: no limit. It holds at once. Throws `not_found`; `invalid` with `details.field`. */
export async function limitUsage(core: Core, input: { namespace: string; minutes: number | null }): Promise<void> {
  const { minutes, namespace } = input
  if (minutes !== null && (!Number.isSafeInteger(minutes) || minutes < 0 || minutes > mostMinutes)) {
    throw wrong('minutes', 'needs to be a whole number, not negative')
  }
  await core.store.write(async (tx) => {
    const group = await findGroupByPath(tx, namespace)
    if (!group) throw new SignalboxError('not_found', `no namespace ${namespace}`)
    if (group.parentId !== null) throw wrong('namespace', 'is not a top-level one: these are charged')
    await saveLimit(tx, group.id, minutes)
    for (const { id } of await listProjectsBelow(tx, group.id)) await setOverQuota(core, tx, id, false)
  })
  await countUsage(core)
}

/** From then on. Throws `not_found`; `invalid` with `details.field`. */
export function setCostFactors(core: Core, runnerId: number, factors: CostFactors): Promise<void> {
  for (const [field, value] of Object.entries(factors)) {
    if (!Number.isFinite(value) || value < 0) throw wrong(field, 'needs to be a number, not negative')
  }
  return core.store.write(async (tx) => {
    await getRunner(tx, runnerId)
    await saveCostFactors(tx, runnerId, factors)
  })
}

function wrong(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid', `${field} ${message}`, { details: { field, message } })
}
