/** A merge request leaves its train before it has arrived; those behind it run anew. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { MergeRequest } from '../merge-request.js'
import { leaveIfThere } from '../steps/take-out-of-train.js'

/** Throws `not_found` for a request that is in no train, `conflict` for one that is being merged. */
export async function leaveMergeTrain(core: Core, request: MergeRequest): Promise<void> {
  const left = await core.store.write((tx) => leaveIfThere(core, tx, request, 'It was taken out of its merge train'))
  if (!left) throw new SignalboxError('not_found', 'the merge request is in no merge train')
}
