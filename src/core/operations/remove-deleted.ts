/**
 * Takes away what deletions have left: bytes on the disk, and all that a deleted project or group holds. Each deletion has
 * it done after its commit; what a crash or a fault leaves undone, the task of this name does.
 */
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { SignalboxError } from '../errors.js'
import { removeLater } from '../steps/remove-later.js'
import { listCaches } from '../store/caches.js'
import { deleteGroupRows, deleteProjectRows, listPipelineIds } from '../store/deletions.js'
import { deleteRemovals, insertRemovals, listRemovals, type Removal } from '../store/removals.js'
import { deletePipeline } from './delete-pipeline.js'

const batch = 500

/** The sweep. Returns how many removals were carried out. */
export async function removeDeleted(core: Core): Promise<number> {
  let done = 0
  for (let after = 0; ; ) {
    const removals = await listRemovals(core.store.read, after, batch)
    done += await carryOut(core, removals)
    if (removals.length < batch) return done
    after = removals.at(-1)!.id
  }
}

/** Takes away what these say; each may be done twice. Returns how many were carried out. */
export async function carryOut(core: Core, removals: readonly Removal[]): Promise<number> {
  const done: number[] = []
  await eachSafely(core.log, 'removing what was deleted', removals, async (removal) => {
    await remove[removal.kind](core, removal.place)
    done.push(removal.id)
  })
  if (done.length > 0) await core.store.write((tx) => deleteRemovals(tx, done))
  return done.length
}

const remove: Record<Removal['kind'], (core: Core, place: string) => Promise<void>> = {
  trace: (core, place) => {
    const [jobId, fence] = place.split('.').map(Number)
    return core.traces.remove(jobId!, fence!)
  },
  artifact: (core, location) => core.artifacts.remove(location),
  cache: (core, location) => core.caches.remove(location),
  project: removeProject,
  group: (core, id) => core.store.write((tx) => deleteGroupRows(tx, Number(id))),
}

async function removeProject(core: Core, place: string): Promise<void> {
  const id = Number(place)
  for (;;) {
    const pipelines = await listPipelineIds(core.store.read, id, batch)
    if (pipelines.length === 0) break
    for (const pipelineId of pipelines) await deletePipeline(core, { pipelineId }).catch(ignoreMissing)
  }
  await core.store.write(async (tx) => {
    const caches = await listCaches(tx, id)
    removeLater(
      core,
      tx,
      await insertRemovals(
        tx,
        'cache',
        caches.map((cache) => cache.location),
      ),
    )
    await deleteProjectRows(tx, id)
  })
  await core.repositories.remove(id)
}

/** Somebody else has just done it. */
function ignoreMissing(error: unknown): void {
  if (!(error instanceof SignalboxError) || error.code !== 'not_found') throw error
}
