/**
 * Committed facts. They are rows of `events`, written in the transaction that made them true; exporters, the page and
 * `inspect` read them there. The hub tells whoever waits in this process, after the commit.
 */
export const eventKinds = [
  'pipeline.created',
  'pipeline.changed',
  'pipeline.deleted',
  'job.changed',
  'job.leased',
  'job.offer_void',
  'job.started',
  'job.finished',
  'job.finish_work',
  'job.admission',
  'job.classified',
  'job.retried',
  'job.erased',
  'lease.ended',
  'runner.created',
  'runner.changed',
  'runner.deleted',
  'project.created',
  'project.changed',
  'project.caches_cleared',
  'project.deleted',
  'group.created',
  'group.changed',
  'group.deleted',
  'trace.mismatch',
  'token.read',
  'token.created',
  'token.revoked',
  'user.changed',
  'session.opened',
  'session.ended',
  'session.refused',
  'password.changed',
  'password.link_made',
  'member.changed',
  'member.removed',
  'share.changed',
  'share.removed',
  'schedule.stopped',
  'variable.changed',
] as const

export type EventKind = (typeof eventKinds)[number]

export interface NewEvent {
  kind: EventKind
  projectId?: number | null
  pipelineId?: number | null
  jobId?: number | null
  runnerId?: number | null
  /** Small plain data; never a secret. */
  data?: Record<string, string | number | boolean | null>
}

export interface CommittedEvent extends NewEvent {
  /** Milliseconds since 1970. */
  at: number
}

type Listener = (event: CommittedEvent) => void

/** Tells listeners in this process of committed events, in order. A listener must be quick and must not throw. */
export class EventHub {
  readonly #listeners = new Set<Listener>()

  /** Calls `listener` for each event from now on, until the returned function is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Tells every listener, also when one of them throws; then throws what the first one did. */
  publish(event: CommittedEvent): void {
    const faults: unknown[] = []
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (fault) {
        faults.push(fault)
      }
    }
    if (faults.length > 0) throw faults[0]
  }
}
