/** A user says in which order a resource group serves its jobs. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { findResourceGroup, type ProcessMode, type ResourceGroup, saveProcessMode } from '../store/resource-groups.js'
import { assignResource } from './assign-resource.js'

/** Returns the group as it is now; whoever is next by the new order is served. Throws `not_found`. */
export async function updateResourceGroup(
  core: Core,
  input: { projectId: number; key: string; processMode: ProcessMode },
): Promise<ResourceGroup> {
  const { projectId, key, processMode } = input
  const group = await core.store.write(async (tx) => {
    const found = await findResourceGroup(tx, projectId, key)
    if (!found) throw new SignalboxError('not_found', `no resource group ${JSON.stringify(key)}`)
    await saveProcessMode(tx, found.id, processMode)
    return { ...found, processMode }
  })
  await assignResource(core, projectId, key)
  return group
}
