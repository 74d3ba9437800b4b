/**
 * The life of a lease: the claim of one runner manager on one job, named by job id and fence. While `offered`, the job
 * stays `pending` but out of the queue; acceptance makes the lease `held` and, in the same transaction, the job
 * `running`. A lease that has ended never opens again: another hand-out is another lease with a higher fence.
 * `store/leases.ts` writes no status but those that this table gives.
 */

export const leaseStatuses = ['offered', 'held', 'released', 'refused', 'expired'] as const
/** What a lease is at; only `offered` and `held` are open. */
export type LeaseStatus = (typeof leaseStatuses)[number]

/** What can happen to a lease. */
export const leaseEvents = ['accept', 'refuse', 'expire', 'release'] as const
/** One of `leaseEvents`. */
export type LeaseEvent = (typeof leaseEvents)[number]

/** A row of the table: what an event leads to, and from where. */
export interface LeaseTransition {
  event: LeaseEvent
  from: readonly LeaseStatus[]
  to: LeaseStatus
}

/** The life of a lease. What is not in the table is refused. */
export const leaseMachine: readonly LeaseTransition[] = [
  { event: 'accept', from: ['offered'], to: 'held' },
  // The runner said no, or the offer could not be delivered.
  { event: 'refuse', from: ['offered'], to: 'refused' },
  // `accept_by` passed without an answer, or a holder was silent for its whole term.
  { event: 'expire', from: ['offered', 'held'], to: 'expired' },
  // The job has ended: under its holder, or before the runner that it was offered to answered.
  { event: 'release', from: ['held'], to: 'released' },
  { event: 'release', from: ['offered'], to: 'refused' },
]

/** The status that `event` leads to from `from`, or undefined when the event is refused. */
export function nextLeaseStatus(event: LeaseEvent, from: LeaseStatus): LeaseStatus | undefined {
  return leaseMachine.find((row) => row.event === event && row.from.includes(from))?.to
}
