/**
 * What planning is given and returns: an event with its surroundings, and the pipeline that it makes of a compiled file, with
 * every rule decided. Plain data: it survives JSON and structured clone.
 */
import type { ConfigError } from './config-error.js'
import type { JobPlan } from './job-definition.js'
import type { PlanVariable } from './variables.js'

/** Why a job of the file is not in this pipeline, or is with what `when`: for `lint --jobs` and people. */
export interface JobDecision {
  job: string
  stage: string
  included: boolean
  /** The rule that decided: index in `rules`, or the keyword (`only`, `except`, `when`, `workflow`). */
  by: string
  detail: string
}

export interface PipelinePlan {
  name?: string
  /** Every stage of the file in order, `.pre` first and `.post` last; only those with jobs make a stage row. */
  stages: string[]
  jobs: JobPlan[]
  /** Global YAML variables of this pipeline after `workflow:rules`. */
  variables: PlanVariable[]
  autoCancel: {
    onNewCommit: 'conservative' | 'interruptible' | 'none'
    onJobFailure: 'none' | 'all'
  }
  warnings: string[]
  /** Present when asked for (`PlanContext.explain`). */
  decisions?: JobDecision[]
}

export type PlanResult =
  | { ok: true; plan: PipelinePlan }
  /** `filtered`: nothing is wrong, but `workflow:rules` or the jobs' rules leave no pipeline to create. */
  | {
      ok: false
      filtered: boolean
      errors: ConfigError[]
      decisions?: JobDecision[]
      /** What `onlyJobs` names is not there; nothing is wrong with the file. */
      asked?: boolean
    }

/** The event and the surroundings that rules look at. */
export interface PlanContext {
  source: string
  /** Short ref name. */
  ref: string
  tag: boolean
  protected: boolean
  defaultBranch: string
  /**
   * Every variable that rules can see and the file does not define: predefined (classes W and R without the job's own),
   * then instance, group, project, pipeline: weakest first.
   */
  variables: PlanVariable[]
  /** Variables weaker than YAML (predefined) end at this index of `variables`; those from it on beat YAML. */
  strongFrom: number
  /** Paths changed by the event; absent when unknown (then `changes` is true). */
  changedPaths?: string[]
  /** Every path at the commit, for `exists`; absent when unknown. */
  files?: string[]
  /** Changed paths against another ref, for `changes:compare_to`. Resolved before planning. */
  comparePaths?: Record<string, string[]>
  /** Files of other projects for `exists:project`, by `project` or `project@ref`. A project not in here is an error. */
  projectFiles?: Record<string, string[]>
  /** Only these jobs and what they need (for `signalbox run JOB…`); absent: all. */
  onlyJobs?: string[]
  /** With `onlyJobs`: not what they need. */
  alone?: boolean
  /** Say of every job what decided about it. */
  explain?: boolean
}
