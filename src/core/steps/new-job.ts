/**
 * A job as a pipeline begins with it: created, and nothing has happened to it yet. All fields in one literal: an object that
 * is made of a spread and of twenty fields more costs V8 a hundred times as much, and a large pipeline makes hundreds.
 */
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Job } from '../job.js'
import type { Pipeline } from '../pipeline.js'
import { isRead } from '../reports/summary.js'

/** Returns the fields of a job that nothing has happened to, to be inserted. */
export function newJob(
  pipeline: Pick<Pipeline, 'id' | 'projectId' | 'userId'>,
  plan: JobPlan,
  made: { stageId: number; definitionId: number; resourceKey?: string | null; now: number },
): Omit<Job, 'id'> {
  return {
    pipelineId: pipeline.id,
    projectId: pipeline.projectId,
    stageId: made.stageId,
    stagePosition: plan.stageIndex,
    definitionId: made.definitionId,
    name: plan.name,
    kind: plan.kind,
    status: 'created',
    runWhen: plan.when,
    scheduling: plan.needs === undefined ? 'stage' : 'dag',
    allowFailure: plan.allowFailure ? 1 : 0,
    retried: 0,
    retryOf: null,
    enqueueAtOnce: 0,
    laneId: null,
    inQueue: 0,
    priority: 0,
    fence: 0,
    voidOffers: 0,
    runnerId: null,
    managerId: null,
    userId: pipeline.userId,
    timeoutS: null,
    timeoutSource: null,
    exitCode: null,
    failureReason: null,
    failureClass: null,
    failureMessage: null,
    tokenIssuedAt: null,
    tokenExpiresAt: null,
    createdAt: made.now,
    updatedAt: made.now,
    queuedAt: null,
    scheduledAt: null,
    startedAt: null,
    finishedAt: null,
    erasedAt: null,
    resourceKey: made.resourceKey ?? null,
    environment: plan.environment?.name ?? null,
    coverage: null,
    payloadKept: 0,
    finishWork: finishWorkOf(plan),
    idTokens: plan.idTokens === undefined ? 0 : 1,
  }
}

/** Whether something is to be done when the job has ended, as its column says it. */
export function finishWorkOf(plan: JobPlan): number {
  return plan.coverage !== undefined || plan.artifacts?.some(({ type }) => isRead(type)) ? 1 : 0
}
