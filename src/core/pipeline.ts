/** Pipelines and stages. */
import type { PlanVariable } from './ci-config/variables.js'
import { is, type JobStatus } from './lifecycle/job-machine.js'

export interface Pipeline {
  id: number
  projectId: number
  iid: number
  ref: string
  tag: number
  protected: number
  sha: string
  beforeSha: string
  source: string
  readonly status: JobStatus
  userId: number | null
  name: string | null
  yamlErrors: string | null
  onNewCommit: string
  onJobFailure: string
  autoCanceledBy: number | null
  /** The trigger job that made it. */
  sourceJobId: number | null
  /** The pipeline that the chain of trigger jobs began with; null: this one. */
  rootId: number | null
  /** Trigger jobs of other pipelines mirror it. */
  followed: number
  createdAt: number
  updatedAt: number
  startedAt: number | null
  finishedAt: number | null
  durationMs: number | null
}

/** Variables fixed when the pipeline was made; sealed in its row. */
export interface PipelineVariables {
  /** Weaker than a job's YAML. */
  predefined: PlanVariable[]
  /** Stronger than a job's YAML. */
  strong: PlanVariable[]
}

export interface Stage {
  id: number
  pipelineId: number
  name: string
  position: number
  readonly status: JobStatus
}

/** What started a pipeline: `CI_PIPELINE_SOURCE`. */
export const pipelineSources = [
  'push',
  'web',
  'trigger',
  'schedule',
  'api',
  'external',
  'pipeline',
  'chat',
  'webide',
  'merge_request_event',
  'external_pull_request_event',
  'parent_pipeline',
] as const

export type PipelineSource = (typeof pipelineSources)[number]

export const noSha = '0'.repeat(40)

/** Length in milliseconds of the union of intervals: how long a pipeline had something running. */
export function unionLength(intervals: readonly { from: number; to: number }[]): number {
  let total = 0
  let end = Number.NEGATIVE_INFINITY
  for (const { from, to } of [...intervals].sort((a, b) => a.from - b.from)) {
    if (to > end) total += to - Math.max(from, end)
    end = Math.max(end, to)
  }
  return total
}

/** Whether nothing more happens in the pipeline until a person acts: one whose delayed jobs wait for their time goes on. */
export function hasEnded(status: JobStatus): boolean {
  return is('stopped', status) && status !== 'scheduled'
}
