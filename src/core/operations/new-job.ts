/** A job as a pipeline begins with it: created, and nothing has happened to it yet. */
import type { JobPlan } from '../ci-config/plan.js'
import type { Job } from '../job.js'
import type { Pipeline } from '../pipeline.js'

export function newJob(
  pipeline: Pick<Pipeline, 'id' | 'projectId' | 'userId'>,
  plan: JobPlan,
  made: { stageId: number; definitionId: number; now: number },
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
    resourceKey: null,
    environment: plan.environment?.name ?? null,
    coverage: null,
    finishWork: plan.coverage === undefined ? 0 : 1,
  }
}
