/** Jobs: one unit of work of a pipeline, and the pure rules about their fields. */

import type { PlanInput } from './ci-config/job-definition.js'
import type { PlanVariable } from './ci-config/variables.js'
import type { JobStatus } from './lifecycle/job-machine.js'

export type JobKind = 'build' | 'bridge' | 'external'

/** The hot half of a job: what changes while it lives. What it does is its definition (a `JobPlan`). */
export interface Job {
  id: number
  pipelineId: number
  projectId: number
  stageId: number
  stagePosition: number
  definitionId: number
  name: string
  kind: JobKind
  /** Changed by `steps/change-status.ts` only, as `lifecycle/job-machine.ts` says. */
  readonly status: JobStatus
  /** The keyword `when` after rules. */
  runWhen: string
  scheduling: 'stage' | 'dag'
  allowFailure: number
  retried: number
  retryOf: number | null
  /** A retried manual job goes to the queue at once instead of waiting for a person again. */
  enqueueAtOnce: number
  laneId: number | null
  /** Pending, and no lease is open: the job can be claimed. */
  inQueue: number
  priority: number
  /** Number of the last hand-out; 0 before the first. */
  fence: number
  /** Offers in a row that came to nothing. */
  voidOffers: number
  runnerId: number | null
  managerId: number | null
  userId: number | null
  timeoutS: number | null
  timeoutSource: string | null
  exitCode: number | null
  failureReason: string | null
  failureClass: string | null
  failureMessage: string | null
  tokenIssuedAt: number | null
  tokenExpiresAt: number | null
  createdAt: number
  updatedAt: number
  queuedAt: number | null
  scheduledAt: number | null
  startedAt: number | null
  finishedAt: number | null
  erasedAt: number | null
  /** The resource that it needs alone; jobs of a project with the same key never run at once. */
  resourceKey: string | null
  /** Name of the environment that it works on. */
  environment: string | null
  /** Percent, found in its log. */
  coverage: number | null
  /** Something is to be done when it has ended, and is not done yet: its log is to be searched for the coverage. */
  finishWork: number
  /** Its payload is among the rows, as long as somebody may ask for it (again). */
  payloadKept: number
  /** It is given ID tokens with each hand-out, and its log must not show them. */
  idTokens: number
}

/** What is so of every job to which nothing has happened yet. */
export const neverRun = {
  status: 'created',
  retried: 0,
  laneId: null,
  inQueue: 0,
  fence: 0,
  voidOffers: 0,
  runnerId: null,
  managerId: null,
  timeoutS: null,
  timeoutSource: null,
  exitCode: null,
  failureReason: null,
  failureClass: null,
  failureMessage: null,
  tokenIssuedAt: null,
  tokenExpiresAt: null,
  queuedAt: null,
  scheduledAt: null,
  startedAt: null,
  finishedAt: null,
  erasedAt: null,
  coverage: null,
  payloadKept: 0,
} as const satisfies Partial<Job>

/** The columns that a change of status writes of itself, for a job that goes from `from` to `to` at `now`. */
export function stampsOf(from: JobStatus, to: JobStatus, now: number): Partial<Job> {
  const stamps: Partial<Job> = { status: to, updatedAt: now }
  if (to === 'pending') stamps.queuedAt = now
  if (to === 'running') stamps.startedAt = now
  if (to === 'success' || to === 'failed' || to === 'canceled') stamps.finishedAt = now
  if (from === 'scheduled') stamps.scheduledAt = null
  return stamps
}

export type TimeoutSource = 'job_timeout_source' | 'project_timeout_source' | 'runner_timeout_source'

/**
 * How long a job may run, in seconds, and whose setting decided: the job's keyword or else the project's, unless the
 * runner's maximum is smaller. Rule: gitlab app/models/concerns/ci/metadatable.rb.
 */
export function resolveTimeout(settings: { job: number | null; project: number; runner: number | null }): {
  seconds: number
  source: TimeoutSource
} {
  const own =
    settings.job === null
      ? { seconds: settings.project, source: 'project_timeout_source' as const }
      : { seconds: settings.job, source: 'job_timeout_source' as const }
  if (settings.runner === null || settings.runner >= own.seconds) return own
  return { seconds: settings.runner, source: 'runner_timeout_source' }
}

/** Seconds between two times, or null while either is missing. */
export function secondsBetween(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : Math.max(0, to - from) / 1000
}

/** Whether the job starts when a person says so: such a one is queued at once when it is tried again. */
export function waitsForPeople(job: Pick<Job, 'runWhen'>): boolean {
  return job.runWhen === 'manual' || job.runWhen === 'delayed'
}

/** As it is kept, sealed. `inputs`: all of the job's, those given among them. */
export interface GivenToJob {
  variables: readonly PlanVariable[]
  inputs?: PlanInput[]
}
