/** Step: a new job takes the name of a locked one that has ended. */
import type { Core } from '../core.js'
import { type Job, neverRun, waitsForPeople } from '../job.js'
import {
  findJobVariables,
  getDefinition,
  insertJob,
  insertNeeds,
  listNeeds,
  saveJob,
  saveJobVariables,
} from '../store/jobs.js'
import type { Tx } from '../store/write.js'
import { finishWorkOf } from './new-job.js'
import { record } from './record.js'

/** Step: the clone of a locked job, `created`; the pipeline is the caller's to process. */
export async function retryLocked(
  core: Core,
  tx: Tx,
  old: Job,
  by: { userId: number | null; enqueueAtOnce?: boolean; byHand?: boolean },
): Promise<Job> {
  const needs = await listNeeds(tx, old.id)
  old.retried = 1
  await saveJob(tx, old)
  const { id: retryOf, ...taken } = old
  const job = await insertJob(tx, {
    ...taken,
    ...neverRun,
    retryOf,
    finishWork: finishWorkOf(await getDefinition(tx, old.definitionId)),
    userId: by.userId,
    enqueueAtOnce: by.enqueueAtOnce ? 1 : 0,
    createdAt: tx.now,
    updatedAt: tx.now,
  })
  await insertNeeds(tx, job.id, needs)
  if (waitsForPeople(old)) {
    const variables = await findJobVariables(tx, old.id)
    if (variables) await saveJobVariables(tx, job.id, variables)
  }
  await record(core, tx, {
    kind: 'job.retried',
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobId: job.id,
    data: { of: old.id, ...(by.userId === null || !by.byHand ? {} : { by: by.userId }) },
  })
  return job
}
