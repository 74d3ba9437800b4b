/**
 * Which job first. Instance runners share fairly: the project with the fewest jobs on instance runners comes first; other
 * runners go by age. Priority is our extension; within it the lowest id wins.
 * Rule: gitlab app/models/ci/queue/pending_builds_strategy.rb.
 */
import type { RunnerType } from '../runner.js'

/** The head of a lane: the best job of one project and demand. */
export interface LaneHead {
  laneId: number
  jobId: number
  priority: number
  /** Open leases of the project on instance runners. */
  share: number
}

/** Negative if `a` is to be taken before `b`. */
export function compareHeads(type: RunnerType, a: LaneHead, b: LaneHead): number {
  return (type === 'instance' ? a.share - b.share : 0) || b.priority - a.priority || a.jobId - b.jobId
}

/** The head to take first, or undefined if there is none. */
export function bestHead(type: RunnerType, heads: readonly LaneHead[]): LaneHead | undefined {
  return heads.reduce<LaneHead | undefined>(
    (best, head) => (best === undefined || compareHeads(type, head, best) < 0 ? head : best),
    undefined,
  )
}
