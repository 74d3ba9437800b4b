/** Step: a merge request is taken out of its merge train, and the train goes on without it after the commit. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { MergeRequest } from '../merge-request.js'
import { saveMergeRequest } from '../store/merge-requests.js'
import { deleteCar, findCarOf } from '../store/merge-train-cars.js'
import { findPipeline } from '../store/pipelines.js'
import type { Tx } from '../store/write.js'
import { cancelPipelineIn } from './cancel-pipeline-in.js'

/** Takes a request out that may be in no train. Returns whether it was. Throws `conflict` while it is being merged. */
export async function leaveIfThere(core: Core, tx: Tx, request: MergeRequest, reason: string): Promise<boolean> {
  const car = await findCarOf(tx, request.id)
  if (!car || car.status === 'merged') return false
  if (!(await takeOut(core, tx, car, reason))) {
    // Somebody else was quicker: it is out, or it is through.
    if (!(await findCarOf(tx, request.id))) return false
    throw new SignalboxError('conflict', 'The merge request is being merged', { details: { verbatim: true } })
  }
  tx.afterCommit(() => core.followUps.soon('run_merge_train', car))
  return true
}

/** Takes a car out, notes the reason at its request, and cancels its pipeline. Returns whether it was still there. */
export async function takeOut(
  core: Core,
  tx: Tx,
  car: { id: number; mergeRequestId: number },
  reason: string,
): Promise<boolean> {
  const gone = await deleteCar(tx, car.id)
  if (!gone) return false
  await saveMergeRequest(tx, car.mergeRequestId, { mergeError: reason })
  const { pipelineId } = gone
  if (pipelineId !== null && (await findPipeline(tx, pipelineId))) await cancelPipelineIn(core, tx, { pipelineId })
  return true
}
