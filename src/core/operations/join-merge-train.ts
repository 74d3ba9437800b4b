/**
 * A merge request goes to the end of the train into its target branch.
 * Rules: https://docs.gitlab.com/ci/pipelines/merge_trains/#add-a-merge-request-to-a-merge-train
 */

import { actingAs, canMergeInto } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { isDraft, type MergeRequest } from '../merge-request.js'
import type { TrainCar } from '../merge-train.js'
import type { Project } from '../project.js'
import { mayRunMerged } from '../protection.js'
import { getMergeRequest, saveMergeRequest } from '../store/merge-requests.js'
import { findCarOf, insertCar } from '../store/merge-train-cars.js'
import type { User } from '../store/users.js'
import { runMergeTrain } from './run-merge-train.js'

/**
 * `sha`: where the source branch must be. Returns the car, with its pipeline unless too many run before it.
 * Throws `forbidden` where the project runs no merged results, and for a user who may not push to the target branch; `conflict` for a request that is in the train already, and
 * for another `sha`; `invalid` with `details.errors` for one that is not open, is a draft, has lost a branch, or could not
 * stay: its source branch is protected and the target is not, its branches conflict, or there is no pipeline for it.
 */
export async function joinMergeTrain(
  core: Core,
  project: Project,
  given: MergeRequest,
  { user, sha }: { user: User; sha?: string },
): Promise<TrainCar> {
  if (project.mergedResults === 0) {
    throw new SignalboxError('forbidden', '403 Forbidden - merge trains need merge_pipelines_enabled', {
      details: { verbatim: true },
    })
  }
  if (!(await canMergeInto(core.store.read, actingAs(user), project, given.targetBranch))) {
    throw new SignalboxError('forbidden', '403 Forbidden - you may not merge into the target branch', {
      details: { verbatim: true },
    })
  }
  if (project.mirrored === 1) throw refusal('The project mirrors another repository: nothing is merged here')
  if (!mayRunMerged(project, given.sourceBranch, given.targetBranch)) {
    throw refusal('The source branch is protected, and the target branch is not')
  }
  if (isDraft(given)) throw refusal('The merge request is a draft')
  const [source, target] = await Promise.all(
    [given.sourceBranch, given.targetBranch].map((branch) =>
      core.repositories.resolve(project, `refs/heads/${branch}`),
    ),
  )
  if (!source || !target) throw refusal(`${source ? given.targetBranch : given.sourceBranch} is no branch any more`)
  if (sha !== undefined && sha !== source.sha) {
    throw conflict(`SHA does not match HEAD of source branch: ${source.sha}`)
  }
  const car = await core.store.write(async (tx) => {
    // The row is held, so that nobody closes the request meanwhile.
    await saveMergeRequest(tx, given.id, { mergeError: null })
    const request = await getMergeRequest(tx, given.id)
    if (request.state !== 'opened') throw refusal(`The merge request is ${request.state}`)
    const { id: mergeRequestId, projectId, targetBranch } = request
    const made = await insertCar(tx, {
      projectId,
      mergeRequestId,
      targetBranch,
      userId: user.id,
      sourceSha: source.sha,
    })
    if (!made) throw conflict('The merge request is in the merge train already')
    return made
  })
  await runMergeTrain(core, car).catch((error) =>
    core.log.error({ err: error, project: project.id, request: given.iid }, 'a merge train could not go on'),
  )
  const there = await findCarOf(core.store.read, given.id)
  if (there) return there
  const { mergeError } = await getMergeRequest(core.store.read, given.id)
  throw refusal(mergeError ?? 'The merge request has left its merge train')
}

function refusal(message: string): SignalboxError {
  return new SignalboxError('invalid', message, { details: { errors: [message] } })
}

function conflict(message: string): SignalboxError {
  return new SignalboxError('conflict', message, { details: { verbatim: true } })
}
