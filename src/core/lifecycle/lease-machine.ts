/**
 * The life of a lease: the claim of one runner manager on one job, named by job id and fence. While `offered`, the job
 * stays `pending` but out of the queue; acceptance makes the lease `held` and, in the same transaction, the job
 * `running`. A lease that has ended never opens again: another hand-out is another lease with a higher fence.
 */

export const leaseStatuses = ['offered', 'held', 'released', 'refused', 'expired'] as const
export type LeaseStatus = (typeof leaseStatuses)[number]

export const leaseEvents = ['accept', 'refuse', 'expire', 'release'] as const
export type LeaseEvent = (typeof leaseEvents)[number]

export interface LeaseTransition {
  event: LeaseEvent
  from: readonly LeaseStatus[]
  to: LeaseStatus
}

export const leaseMachine: readonly LeaseTransition[] = [
  { event: 'accept', from: ['offered'], to: 'held' },
  // The runner said no, its answer could not be delivered, or the job ended before it answered.
  { event: 'refuse', from: ['offered'], to: 'refused' },
  // `accept_by` passed without an answer, or a holder was silent for its whole term.
  { event: 'expire', from: ['offered', 'held'], to: 'expired' },
  { event: 'release', from: ['held'], to: 'released' },
]

export const openLeaseStatuses = ['offered', 'held'] as const satisfies readonly LeaseStatus[]

/** The status that `event` leads to from `from`, or undefined when the event is refused. */
export function nextLeaseStatus(event: LeaseEvent, from: LeaseStatus): LeaseStatus | undefined {
  return leaseMachine.find((row) => row.event === event && row.from.includes(from))?.to
}
