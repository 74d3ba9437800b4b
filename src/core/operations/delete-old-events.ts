/** Old events go, a few at a time, once every exporter and task has read them. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Core } from '../core.js'
import { deleteEventsUpTo, lastReadByAll, listOldestEvents } from '../store/retention.js'

const atOnce = 500
/** Whoever has not read an event for so many terms will not: an exporter that is no longer there keeps a place. */
const longestTerms = 4

/** The sweep. Gives how many were deleted. The newest event stays: it tells how far time and ids have come. */
export async function deleteOldEvents(core: Core): Promise<number> {
  const { eventsMs } = core.settings.retention
  if (eventsMs === null) return 0
  const { store, clock } = core
  const now = clock.now()
  for (let deleted = 0; ; ) {
    const read = (await lastReadByAll(store.read)) ?? Number.MAX_SAFE_INTEGER
    const events = await listOldestEvents(store.read, atOnce + 1)
    const isOld = ({ id, at }: { id: number; at: number }) =>
      at < now - eventsMs * longestTerms || (at < now - eventsMs && id <= read)
    const young = events.findIndex((event) => !isOld(event))
    const count = Math.min(young === -1 ? atOnce : young, events.length - 1)
    const last = events[count - 1]
    if (!last) return deleted
    await store.write((tx) => deleteEventsUpTo(tx, last.id))
    deleted += count
    // Others have their turn before the next ones.
    await turn()
  }
}
