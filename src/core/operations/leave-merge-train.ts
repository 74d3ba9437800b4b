/** A merge request leaves its train before it has arrived; those behind it run anew. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { MergeRequest } from '../merge-request.js'
import { saveMergeRequest } from '../store/merge-requests.js'
import { deleteCar, findCarOf } from '../store/merge-train-cars.js'
import { findPipeline } from '../store/pipelines.js'
import type { Tx } from '../store/write.js'
import { cancelPipelineIn } from './cancel-pipeline.js'
import { runTrainSoon } from './run-merge-train.js'

/** Throws `not_found` for a request that is in no train, `conflict` for one that is being merged. */
export async function leaveMergeTrain(core: Core, request: MergeRequest): Promise<void> {
  const left = await core.store.write((tx) => leaveIfThere(core, tx, request, 'It was taken out of its merge train'))
  if (!left) throw new SignalboxError('not_found', 'the merge request is in no merge train')
}

/** Step: the same for one that may be in none. Gives whether it was. Throws `conflict`. */
export async function leaveIfThere(core: Core, tx: Tx, request: MergeRequest, reason: string): Promise<boolean> {
  const car = await findCarOf(tx, request.id)
  if (!car || car.status === 'merged') return false
  if (!(await takeOut(core, tx, car, reason))) {
    // Somebody else was quicker: it is out, or it is through.
    if (!(await findCarOf(tx, request.id))) return false
    throw new SignalboxError('conflict', 'The merge request is being merged', { details: { verbatim: true } })
  }
  tx.afterCommit(() => runTrainSoon(core, car))
  return true
}

/** Step: takes a car out, which the request says why, and cancels its pipeline. Gives whether it was still there. */
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
