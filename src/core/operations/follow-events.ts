/** Committed events for tasks that work through them: in order, each once, from where the task stopped last. */
import type { Core } from '../core.js'
import { EventTail } from '../store/event-tail.js'
import { readCursor, type StoredEvent } from '../store/events.js'

const batch = 500

/**
 * Batches of events that happened at `until` or before. The caller saves the cursor `name` with what it makes of a batch,
 * and then asks for the next.
 */
export async function* eventsFor(core: Core, name: string, until: number): AsyncGenerator<StoredEvent[]> {
  const tail = tailOf(core, name)
  let cursor = (await readCursor(core.store.read, name)) ?? 0
  for (;;) {
    const { events } = await tail.read(cursor, batch)
    const tooNew = events.findIndex((event) => event.at > until)
    const ready = tooNew === -1 ? events : events.slice(0, tooNew)
    if (ready.length === 0) return
    yield ready
    if (ready.length < batch) return
    cursor = ready.at(-1)!.id
  }
}

function tailOf({ memory, store }: Core, name: string): EventTail {
  const tail = memory.eventTails.get(name) ?? new EventTail(store)
  memory.eventTails.set(name, tail)
  return tail
}
