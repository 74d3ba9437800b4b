/**
 * A car of a merge train gets the pipeline of what merging it behind all before it would give, in place of the one it has.
 * Rules: https://docs.gitlab.com/ci/pipelines/merge_trains/#merge-train-workflow
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { mergeMessage, requestRef, requestVariables } from '../merge-request.js'
import type { TrainCar } from '../merge-train.js'
import type { Project } from '../project.js'
import { isProtected } from '../protection.js'
import { cancelPipelineIn } from '../steps/cancel-pipeline-in.js'
import { takeOut } from '../steps/take-out-of-train.js'
import { getMergeRequest } from '../store/merge-requests.js'
import { placeCar } from '../store/merge-train-cars.js'
import { findPipeline } from '../store/pipelines.js'
import { findUser } from '../store/users.js'
import { createPipeline } from './create-pipeline.js'

/**
 * `before`: what it is merged into. Returns the commit that the pipeline runs; undefined where there is none: the car has
 * left, or was taken out because it conflicts or its configuration makes no pipeline. Throws `unavailable`.
 */
export async function createTrainPipeline(
  core: Core,
  project: Project,
  car: TrainCar,
  before: string,
): Promise<string | undefined> {
  const { repositories, store } = core
  const request = await getMergeRequest(store.read, car.mergeRequestId)
  const source = car.sourceSha
  const of = { target: before, source, message: mergeMessage(request), at: core.clock.now() }
  const sha = await repositories.merge(project, of)
  if (sha === undefined) {
    const reason = `${request.sourceBranch} conflicts with ${request.targetBranch}, or with a request before it`
    await store.write((tx) => takeOut(core, tx, car, reason))
    return undefined
  }
  const { pipelineId } = car
  if (pipelineId !== null && (await findPipeline(store.read, pipelineId))) {
    await store.write((tx) => cancelPipelineIn(core, tx, { pipelineId }))
  }
  const guarded = (branch: string) => isProtected(project, { name: branch, tag: false })
  try {
    await createPipeline(core, {
      projectId: project.id,
      ref: `refs/heads/${request.sourceBranch}`,
      requestRef: requestRef(request, 'merge_train'),
      sha,
      source: 'merge_request_event',
      user: (await findUser(store.read, car.userId)) ?? null,
      predefined: requestVariables({
        request,
        project,
        externalUrl: core.externalUrl(),
        kind: 'merge_train',
        source: { sha: source, protected: guarded(request.sourceBranch) },
        target: { sha: before, protected: guarded(request.targetBranch) },
        base: await repositories.mergeBase(project, before, source),
      }),
      changesSince: before,
      onInvalid: 'refuse',
      alongside: async (tx, { id }) => {
        const placed = await placeCar(tx, car, { baseSha: before, sha, pipelineId: id })
        if (!placed) throw new SignalboxError('conflict', 'the car has left its place')
      },
    })
    return sha
  } catch (error) {
    const { code, message } = SignalboxError.from(error)
    if (code === 'conflict') return undefined
    if (code !== 'invalid' && code !== 'not_found') throw error
    await store.write((tx) => takeOut(core, tx, car, message))
    return undefined
  }
}
