/**
 * The life of a job as a table. A row reads: this event, in one of these statuses, leads there if every guard holds.
 * When several rows fit, the first wins. Any event in a status without a row is refused and changes nothing.
 *
 * The same table decides every change of a job's status (`steps/change-status.ts`; its UPDATE repeats the status that was
 * decided on), draws `docs/lifecycle.md` and makes the exhaustive test. A job begins as `created`. Rules: gitlab app/models/commit_status.rb, app/models/ci/{processable,build,bridge}.rb.
 */

export const jobStatuses = [
  'created',
  'waiting_for_resource',
  'preparing',
  'waiting_for_callback',
  'pending',
  'running',
  'canceling',
  'success',
  'failed',
  'canceled',
  'skipped',
  'manual',
  'scheduled',
] as const

/** What a job is at. The same words as GitLab's: https://docs.gitlab.com/api/jobs/ */
export type JobStatus = (typeof jobStatuses)[number]

/** What can happen to a job. */
export const jobEvents = [
  'enqueue',
  'enqueue_scheduled',
  'enqueue_waiting_for_resource',
  'enqueue_preparing',
  'hold',
  'call_back',
  'actionize',
  'schedule',
  'unschedule',
  'process',
  'run',
  'skip',
  'success',
  'drop',
  'cancel',
  'force_cancel',
  'doom',
] as const

/** One of `jobEvents`. */
export type JobEvent = (typeof jobEvents)[number]

/** Facts that guards look at. A guard written with `!` holds when the fact does not. */
export interface JobFacts {
  /** The job belongs to a resource group. */
  resource_group: boolean
  /** Something on the server's side must be done first, such as fetching a mirrored repository. */
  prerequisites: boolean
  /** `scheduled_at` is empty or past. */
  due: boolean
  /** A free resource was taken for the job in this transaction. */
  resource_assigned: boolean
  /** The manager that runs the job can stop it gracefully. */
  cancel_gracefully: boolean
}

/** A fact that a transition asks for, or with `!` the lack of it. */
export type Guard = keyof JobFacts | `!${keyof JobFacts}`

/** A row of the table: what an event leads to, from where, and on which condition. */
export interface Transition<Event extends string = JobEvent> {
  event: Event
  from: readonly JobStatus[]
  to: JobStatus
  guards?: readonly Guard[]
}

const queueable = ['created', 'skipped', 'manual', 'scheduled'] as const
const unstarted = ['created', 'waiting_for_resource', 'preparing', 'waiting_for_callback', 'pending'] as const

/** The life of a job. The first row that fits the event, the status and the facts decides. */
export const jobMachine: readonly Transition[] = [
  { event: 'enqueue', from: queueable, to: 'waiting_for_resource', guards: ['resource_group'] },
  { event: 'enqueue', from: queueable, to: 'preparing', guards: ['prerequisites'] },
  { event: 'enqueue', from: queueable, to: 'pending' },

  {
    event: 'enqueue_scheduled',
    from: ['scheduled'],
    to: 'waiting_for_resource',
    guards: ['due', 'resource_group'],
  },
  { event: 'enqueue_scheduled', from: ['scheduled'], to: 'preparing', guards: ['due', 'prerequisites'] },
  { event: 'enqueue_scheduled', from: ['scheduled'], to: 'pending', guards: ['due'] },

  {
    event: 'enqueue_waiting_for_resource',
    from: ['waiting_for_resource'],
    to: 'preparing',
    guards: ['resource_assigned', 'prerequisites'],
  },
  {
    event: 'enqueue_waiting_for_resource',
    from: ['waiting_for_resource'],
    to: 'pending',
    guards: ['resource_assigned'],
  },

  { event: 'enqueue_preparing', from: ['preparing'], to: 'pending', guards: ['!prerequisites'] },

  // Its resource, if any, would be held for as long as the outside system likes.
  { event: 'hold', from: ['created'], to: 'waiting_for_callback' },
  { event: 'hold', from: ['pending'], to: 'waiting_for_callback', guards: ['!resource_group'] },
  { event: 'call_back', from: ['waiting_for_callback'], to: 'created' },

  { event: 'actionize', from: ['created'], to: 'manual' },
  { event: 'schedule', from: ['created'], to: 'scheduled' },
  { event: 'unschedule', from: ['scheduled'], to: 'manual' },
  { event: 'process', from: ['skipped', 'manual'], to: 'created' },

  { event: 'run', from: ['pending'], to: 'running' },
  { event: 'skip', from: ['created', 'waiting_for_resource', 'preparing', 'pending'], to: 'skipped' },

  // A runner's late success does not override a cancel.
  { event: 'success', from: ['canceling'], to: 'canceled' },
  { event: 'success', from: [...unstarted, 'running'], to: 'success' },

  { event: 'drop', from: ['canceling'], to: 'canceled' },
  { event: 'drop', from: [...unstarted, 'running', 'manual', 'scheduled'], to: 'failed' },

  { event: 'cancel', from: ['running'], to: 'canceling', guards: ['cancel_gracefully'] },
  { event: 'cancel', from: [...unstarted, 'running', 'scheduled', 'manual'], to: 'canceled' },
  { event: 'force_cancel', from: ['canceling'], to: 'canceled' },

  // What follows from its end throws: it is failed all the same, and nothing follows.
  { event: 'doom', from: [...unstarted, 'running', 'canceling', 'manual', 'scheduled'], to: 'failed' },
]

/** What can happen to a trigger job, which nobody runs. */
export const bridgeEvents = [...jobEvents, 'start_cancel', 'finish_cancel'] as const
/** One of `bridgeEvents`. */
export type BridgeEvent = (typeof bridgeEvents)[number]

const cancelable = [...unstarted, 'running', 'scheduled'] as const

/** Jobs that trigger a downstream pipeline: never prepared, never scheduled, canceled through the downstream. */
export const bridgeMachine: readonly Transition<BridgeEvent>[] = [
  ...jobMachine.filter(
    (row) => !(row.event === 'schedule' || row.guards?.includes('prerequisites') || row.to === 'canceling'),
  ),
  { event: 'start_cancel', from: cancelable, to: 'canceling' },
  { event: 'finish_cancel', from: [...cancelable, 'canceling'], to: 'canceled' },
]

/** Statuses that a bridge may be set to from any status, to copy another pipeline's (`running`: one that it mirrors). */
export const bridgeMirrors = [
  'created',
  'pending',
  'running',
  'manual',
  'scheduled',
  'skipped',
  'success',
  'failed',
  'canceled',
] as const satisfies readonly JobStatus[]

/** Sets of statuses, as gitlab app/models/concerns/ci/has_status.rb defines them. */
export const statusSets = {
  active: ['waiting_for_resource', 'preparing', 'waiting_for_callback', 'pending', 'running'],
  alive: [...unstarted, 'running', 'canceling'],
  cancelable: cancelable,
  executing: ['running', 'canceling'],
  completed: ['success', 'failed', 'canceled', 'skipped'],
  finished: ['success', 'failed', 'canceled'],
  stopped: ['success', 'failed', 'canceled', 'skipped', 'manual', 'scheduled'],
  blocked: ['manual', 'scheduled'],
  started: ['running', 'success', 'failed'],
} as const satisfies Record<string, readonly JobStatus[]>

/** A named set of statuses. */
export type StatusSet = keyof typeof statusSets

/** Whether `status` belongs to the set. */
export function is(set: StatusSet, status: JobStatus): boolean {
  return (statusSets[set] as readonly JobStatus[]).includes(status)
}

/**
 * The status that `event` leads to from `from`, or undefined when the event is refused. Facts not given do not hold.
 */
export function nextStatus<Event extends string = JobEvent>(
  event: Event,
  from: JobStatus,
  facts: Partial<JobFacts> = {},
  machine: readonly Transition<Event>[] = jobMachine as readonly Transition<Event>[],
): JobStatus | undefined {
  return machine.find((row) => row.event === event && row.from.includes(from) && holds(row.guards, facts))?.to
}

function holds(guards: readonly Guard[] | undefined, facts: Partial<JobFacts>): boolean {
  return (guards ?? []).every((guard) =>
    guard.startsWith('!') ? !facts[guard.slice(1) as keyof JobFacts] : facts[guard as keyof JobFacts] === true,
  )
}
