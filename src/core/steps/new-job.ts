/** A job as a pipeline begins with it: created, and nothing has happened to it yet. */
import type { JobPlan } from '../ci-config/job-definition.js'
import { type Job, neverRun } from '../job.js'
import type { Pipeline } from '../pipeline.js'
import { isRead } from '../reports/summary.js'

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
    runWhen: plan.when,
    scheduling: plan.needs === undefined ? 'stage' : 'dag',
    allowFailure: plan.allowFailure ? 1 : 0,
    retryOf: null,
    enqueueAtOnce: 0,
    priority: 0,
    userId: pipeline.userId,
    createdAt: made.now,
    updatedAt: made.now,
    resourceKey: made.resourceKey ?? null,
    environment: plan.environment?.name ?? null,
    finishWork: finishWorkOf(plan),
    idTokens: plan.idTokens === undefined ? 0 : 1,
    // Last: an object that begins with a spread and grows by twenty fields costs V8 twenty times as much.
    ...neverRun,
  }
}

/** Whether something is to be done when the job has ended, as its column says it. */
export function finishWorkOf(plan: JobPlan): number {
  return plan.coverage !== undefined || plan.artifacts?.some(({ type }) => isRead(type)) ? 1 : 0
}
