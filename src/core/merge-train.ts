/**
 * Merge requests on their way into a branch, one behind the other: each runs what the branch would be after it and all
 * before it. Rules: https://docs.gitlab.com/ci/pipelines/merge_trains/
 */
import type { Pipeline } from './pipeline.js'

/**
 * idle: it has no pipeline yet. fresh: it has one. merging: the branch is being moved to its commit. merged: it has
 * arrived. The words are those of GitLab.
 */
export type CarStatus = 'idle' | 'fresh' | 'merging' | 'merged'

/** A merge request in a train. */
export interface TrainCar {
  id: number
  projectId: number
  mergeRequestId: number
  targetBranch: string
  /** Who has added it. */
  userId: number
  status: CarStatus
  /** Where the source branch was then. */
  sourceSha: string
  /** What `sha` merges the source into: the target branch, or the `sha` of the car before. */
  baseSha: string | null
  sha: string | null
  pipelineId: number | null
  createdAt: number
  updatedAt: number
  mergedAt: number | null
}

/** What a train is known by. */
export type TrainKey = Pick<TrainCar, 'projectId' | 'targetBranch'>

/** Whether the pipeline was made for a car. */
export function isOfTrain({ source, ref }: Pick<Pipeline, 'source' | 'ref'>): boolean {
  return source === 'merge_request_event' && ref.endsWith('/train')
}
