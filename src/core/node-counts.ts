/**
 * What this node counts as it happens, under GitLab's names: dashboards made for GitLab's queue work. Of its operations those
 * are here that have the same meaning; there is no scan of the queue whose iterations and depth could be measured.
 * Names: gitlab lib/gitlab/ci/queue/metrics.rb, lib/gitlab/ci/trace/metrics.rb.
 */
import type { CommittedEvent } from './events.js'
import type { Gauge } from './gauge.js'

const queueOperations = [
  /** A job waits for a runner from now on. */
  'build_queue_push',
  /** A job was handed out, to whatever runner… */
  'build_queue_pop',
  'build_can_pick',
  /** …and to one of the instance. */
  'shared_runner_build_new',
  /** A runner has polled for work. */
  'queue_attempt',
  /** The job that was found went to another. */
  'queue_conflict',
  /** Nobody has accepted an offer in time. */
  'runner_queue_timeout',
] as const
export type QueueOperation = (typeof queueOperations)[number]

const traceOperations = [
  'appended',
  /** A gap, or bytes that were there already, of a runner that must know better. */
  'conflict',
  /** Of a log over its limit. */
  'discarded',
  /** The log is not what its runner says that it has sent. */
  'invalid',
  /** The log of a job that is over has become an artifact. */
  'finalized',
] as const
export type TraceOperation = (typeof traceOperations)[number]

export class NodeCounts {
  #attempts = 0
  #failed = 0
  readonly #queue = new Map<QueueOperation, number>(queueOperations.map((name) => [name, 0]))
  readonly #traces = new Map<TraceOperation, number>(traceOperations.map((name) => [name, 0]))

  /** A runner has polled; whether it got a job. */
  polled(got: boolean): void {
    this.#attempts++
    if (!got) this.#failed++
    this.queue('queue_attempt')
  }

  queue(operation: QueueOperation): void {
    this.#queue.set(operation, this.#queue.get(operation)! + 1)
  }

  trace(operation: TraceOperation): void {
    this.#traces.set(operation, this.#traces.get(operation)! + 1)
  }

  /** Counts a committed event of this node. */
  hear({ kind, data }: CommittedEvent): void {
    switch (kind) {
      case 'job.changed':
        if (data?.to === 'pending' && data.from !== 'pending') this.queue('build_queue_push')
        return
      case 'job.leased':
        this.queue('build_queue_pop')
        this.queue('build_can_pick')
        if (data?.runner_type === 'instance') this.queue('shared_runner_build_new')
        return
      case 'job.offer_void':
        this.queue('runner_queue_timeout')
        return
      case 'trace.mismatch':
        this.trace('invalid')
        return
    }
  }

  /** The counters, for `/metrics`. */
  gauges(): Gauge[] {
    return [
      counter('job_register_attempts_total', 'Polls for a job.', [{ labels: {}, value: this.#attempts }]),
      counter('job_register_attempts_failed_total', 'Polls that got none.', [{ labels: {}, value: this.#failed }]),
      counter('gitlab_ci_queue_operations_total', 'What has happened in the queue.', byOperation(this.#queue)),
      counter('gitlab_ci_trace_operations_total', 'What has happened to logs.', byOperation(this.#traces)),
    ]
  }
}

function counter(name: string, help: string, values: Gauge['values']): Gauge {
  return { name, help, type: 'counter', values }
}

function byOperation(counts: ReadonlyMap<string, number>): Gauge['values'] {
  return [...counts].map(([operation, value]) => ({ labels: { operation }, value }))
}
