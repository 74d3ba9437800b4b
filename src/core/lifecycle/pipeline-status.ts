/**
 * The status of a group of jobs (a stage, a pipeline, what a job needs) as one pure fold over the set of their
 * statuses, and the pipeline's own machine that takes such a status in.
 * Rules: gitlab lib/gitlab/ci/status/composite.rb, app/models/ci/pipeline.rb.
 */
import type { JobStatus } from './job-machine.js'

/** What the fold looks at in a current (not retried) job. */
export interface StatusPart {
  status: JobStatus
  allowFailure: boolean
}

type Symbol = JobStatus | 'warn' | 'ignored'

interface Decision {
  /** The set holds nothing else. */
  only?: readonly Symbol[]
  /** The set holds one of these. */
  has?: readonly Symbol[]
  gives: JobStatus
}

/** Asked in order; the first that fits decides. */
const decisions: readonly Decision[] = [
  { only: ['skipped', 'ignored'], gives: 'skipped' },
  { only: ['success', 'skipped', 'warn', 'ignored'], gives: 'success' },
  { only: ['created', 'warn', 'ignored'], gives: 'created' },
  { only: ['preparing', 'warn', 'ignored'], gives: 'preparing' },
  { only: ['canceled', 'success', 'skipped', 'warn', 'ignored'], gives: 'canceled' },
  { only: ['pending', 'created', 'skipped', 'warn', 'ignored'], gives: 'pending' },
  { has: ['running', 'pending'], gives: 'running' },
  { has: ['waiting_for_resource'], gives: 'waiting_for_resource' },
  { has: ['waiting_for_callback'], gives: 'waiting_for_callback' },
  { has: ['manual'], gives: 'manual' },
  { has: ['scheduled'], gives: 'scheduled' },
  { has: ['preparing'], gives: 'preparing' },
  { has: ['created'], gives: 'running' },
  { has: ['canceling'], gives: 'canceling' },
  { gives: 'failed' },
]

/** Asked before the others when the fold is over the jobs that one job needs. */
const needsDecisions: readonly Decision[] = [
  { has: ['skipped', 'ignored'], gives: 'skipped' },
  {
    has: [
      'created',
      'waiting_for_resource',
      'preparing',
      'waiting_for_callback',
      'pending',
      'running',
      'canceling',
      'manual',
      'scheduled',
    ],
    gives: 'pending',
  },
]

/**
 * The one status of many jobs; `success` for none. `needs` mode is for the jobs named in a job's `needs`, plain mode for
 * stages, pipelines and all earlier stages. Counts and order do not matter.
 */
export function compositeStatus(parts: Iterable<StatusPart>, mode: 'plain' | 'needs' = 'plain'): JobStatus {
  const set = new Set<Symbol>()
  for (const part of parts) set.add(symbolOf(part))
  if (set.size === 0) return 'success'
  const asked = mode === 'needs' ? [...needsDecisions, ...decisions] : decisions
  const decided = asked.find((decision) => fits(decision, set))
  return decided!.gives
}

/**
 * Whether a job that has come to this state leaves any group that it is in `running`, as long as another of the group is
 * pending or running (for a job that is running itself: whatever the others are). Nobody's turn has come then either: what
 * waits for the group goes on waiting. Follows from the decisions above, which a test goes through.
 */
export function keepsRunning({ status, allowFailure }: StatusPart): boolean {
  if (status === 'running' || status === 'success') return true
  return !allowFailure && (status === 'failed' || status === 'canceled')
}

function symbolOf({ status, allowFailure }: StatusPart): Symbol {
  if (!allowFailure) return status
  if (status === 'failed' || status === 'canceled') return 'warn'
  return status === 'manual' ? 'ignored' : status
}

function fits(decision: Decision, set: ReadonlySet<Symbol>): boolean {
  if (decision.only && ![...set].every((symbol) => decision.only!.includes(symbol))) return false
  if (decision.has && !decision.has.some((symbol) => set.has(symbol))) return false
  return true
}

const finished: readonly JobStatus[] = ['success', 'failed', 'canceled']

/**
 * The status a pipeline takes when its jobs fold to `composite`. A composite `created` changes nothing; a finished
 * pipeline whose jobs wait again (a retry) is `running`, not `pending`.
 */
export function nextPipelineStatus(current: JobStatus, composite: JobStatus): JobStatus {
  if (composite === 'created') return current
  if (composite === 'pending') {
    if (finished.includes(current) || current === 'canceling') return 'running'
    return current === 'running' || current === 'waiting_for_callback' ? current : 'pending'
  }
  if (composite === 'canceling' && current === 'canceled') return current
  return composite
}
