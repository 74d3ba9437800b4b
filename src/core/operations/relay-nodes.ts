/**
 * What other nodes have committed, for those who wait at this one: pages that are open, logs that are followed, streams whose
 * runner was changed. It is looked for while there are other nodes; whoever is told looks into the store.
 */
import type { Core } from '../core.js'
import { type CommittedEvent, type EventKind, eventKinds } from '../events.js'
import { EventTail } from '../store/event-tail.js'
import { lastEventId, type StoredEvent } from '../store/events.js'
import { traceLengths } from '../store/traces.js'

const logsEveryMs = 300
const eventsEveryMs = 700
const batch = 500
/** Of more that is found at once the rest is left out: pages look at everything again. */
const mostEvents = 5000
const known: ReadonlySet<string> = new Set(eventKinds)

/** Begins; `hasCompany` says whether there are other nodes. Returns what ends it. */
export function relayNodes(core: Core, hasCompany: () => boolean): () => void {
  if (core.store.engine === 'sqlite') return () => undefined
  const events = new EventRelay(core)
  const logs = new LogRelay(core)
  const stops = [
    core.events.listen((event) => hasCompany() && events.told(event)),
    core.clock.every(logsEveryMs, () => hasCompany() && busily(core, logs)),
    core.clock.every(eventsEveryMs, () => (hasCompany() ? busily(core, events) : events.rest())),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

interface Relay {
  running: boolean
  look(): Promise<void>
}

/** One look at a time; what fails is looked for again. */
function busily(core: Core, relay: Relay): void {
  if (relay.running) return
  relay.running = true
  relay
    .look()
    .catch((error: unknown) => core.log.debug({ err: error }, 'what other nodes have done was not looked for'))
    .finally(() => {
      relay.running = false
    })
}

class LogRelay implements Relay {
  running = false
  readonly #core: Core
  #lengths: ReadonlyMap<number, number> = new Map()

  constructor(core: Core) {
    this.#core = core
  }

  async look(): Promise<void> {
    const { traces, store } = this.#core
    const before = this.#lengths
    const now = await traceLengths(store.read, traces.watched)
    this.#lengths = now
    for (const [jobId, length] of now) if (length !== before.get(jobId)) traces.tell(jobId, length)
  }
}

class EventRelay implements Relay {
  running = false
  readonly #core: Core
  readonly #tail: EventTail
  #place: number | undefined
  /** What this node has told already, and how often. */
  readonly #own = new Map<string, number>()

  constructor(core: Core) {
    this.#core = core
    this.#tail = new EventTail(core.store)
  }

  told(event: CommittedEvent): void {
    if (this.#relaying) return
    if (this.#own.size >= mostEvents) this.rest()
    const key = keyOf(event)
    this.#own.set(key, (this.#own.get(key) ?? 0) + 1)
  }

  /** There are no others for now: what comes next is looked at from then on. */
  rest(): void {
    this.#place = undefined
    this.#own.clear()
  }

  async look(): Promise<void> {
    if (this.#place === undefined) {
      this.#place = await lastEventId(this.#core.store.read)
      return
    }
    for (let seen = 0; seen < mostEvents; ) {
      const { events } = await this.#tail.read(this.#place, batch)
      for (const event of events) this.#tell(event)
      seen += events.length
      this.#place = events.at(-1)?.id ?? this.#place
      if (events.length < batch) return
    }
    this.rest()
  }

  #relaying = false

  #tell(stored: StoredEvent): void {
    if (!known.has(stored.kind)) return
    const { id: _, data, kind, ...facts } = stored
    const event: CommittedEvent = { ...facts, kind: kind as EventKind, data: JSON.parse(data) }
    const key = keyOf(event)
    const own = this.#own.get(key) ?? 0
    if (own === 1) this.#own.delete(key)
    else if (own > 1) this.#own.set(key, own - 1)
    if (own > 0) return
    this.#relaying = true
    try {
      this.#core.events.publish(event)
    } finally {
      this.#relaying = false
    }
  }
}

function keyOf({ at, kind, projectId, pipelineId, jobId, runnerId }: CommittedEvent): string {
  return [at, kind, projectId ?? 0, pipelineId ?? 0, jobId ?? 0, runnerId ?? 0].join(' ')
}
