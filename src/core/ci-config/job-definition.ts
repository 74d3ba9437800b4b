/** What one job of a pipeline does, all keywords resolved: stored as its definition. Plain data. */
import type { PlanVariable } from './variables.js'

/** An image, for executors that run jobs in one. */
export interface PlanImage {
  name: string
  entrypoint?: string[]
  pullPolicy?: string[]
  executorOpts?: { docker?: Record<string, unknown>; kubernetes?: Record<string, unknown> }
}

/** A container beside the job's own. */
export interface PlanService extends PlanImage {
  alias?: string
  command?: string[]
  variables?: PlanVariable[]
}

/** One entry of the job payload's `artifacts`: the archive, or one report. */
export interface PlanArtifact {
  /** `archive` or a report type: `junit`, `dotenv`… */
  type: string
  format: 'zip' | 'gzip' | 'raw'
  name?: string
  paths: string[]
  exclude?: string[]
  untracked?: boolean
  when: 'on_success' | 'on_failure' | 'always'
  expireIn?: string
  access?: 'all' | 'developer' | 'maintainer' | 'none'
}

/** A cache that the job takes and leaves. */
export interface PlanCache {
  /** A ready key, or the files whose content makes it. */
  key: string | { files: string[]; filesCommits?: boolean; prefix?: string }
  paths: string[]
  untracked?: boolean
  policy: string
  when: 'on_success' | 'on_failure' | 'always'
  fallbackKeys?: string[]
  unprotect?: boolean
}

/** One resolved entry of `needs` that points into the same pipeline. */
export interface PlanNeed {
  /** The full name of the job needed, such as `test 1/2`. */
  job: string
  artifacts: boolean
  optional: boolean
}

/** The types that the value of an input may have. */
export type InputType = 'string' | 'number' | 'boolean' | 'array'

/** An input of a job: its value, which people may choose anew when they start the job by hand, and from what. */
export interface PlanInput {
  key: string
  value: { type: InputType; content: unknown }
  options?: unknown[]
  /** What a text must match: RE2, not anchored. */
  regex?: string
}

/** When a job that fails is tried again: at most `max` times. */
export interface PlanRetry {
  max: number
  /** Failure reasons, or `always`. Empty when only exit codes decide. */
  when: string[]
  exitCodes?: number[]
}

/** The environment that a job is about, and what it does to it. */
export interface PlanEnvironment {
  name: string
  url?: string
  action: 'start' | 'prepare' | 'stop' | 'verify' | 'access'
  onStop?: string
  autoStopIn?: string
  deploymentTier?: string
}

/** When a job runs. Rule: https://docs.gitlab.com/ci/yaml/#when */
export type JobWhen = 'on_success' | 'on_failure' | 'always' | 'manual' | 'delayed' | 'never'

/** One job of a pipeline, all keywords resolved: what is stored as the job's definition. */
export interface JobPlan {
  name: string
  kind: 'build' | 'bridge'
  stage: string
  /** Position of the stage in the full list of stages. */
  stageIndex: number
  when: JobWhen
  /** Delay of a `delayed` job, in seconds. */
  startInSeconds?: number
  allowFailure: boolean
  allowFailureExitCodes?: number[]
  /** Absent: ordered by stage. Present, even if empty: starts when these have ended. */
  needs?: PlanNeed[]
  /** Needs on other pipelines or projects, kept as written. */
  crossNeeds?: Record<string, unknown>[]
  /** Absent: artifacts of all earlier jobs. */
  dependencies?: string[]
  tags: string[]
  /** `before_script` and `script`, in one list. */
  script: string[]
  afterScript?: string[]
  hooks?: { preGetSources?: string[] }
  image?: PlanImage
  services?: PlanService[]
  /** YAML variables of the job: global, job, matrix and rule variables merged, weakest first. */
  variables: PlanVariable[]
  artifacts?: PlanArtifact[]
  caches?: PlanCache[]
  retry?: PlanRetry
  timeoutSeconds?: number
  interruptible?: boolean
  resourceGroup?: string
  environment?: PlanEnvironment
  /** Regular expression that finds the coverage in the trace, without its slashes. */
  coverage?: string
  /** Position in `parallel`: `CI_NODE_INDEX` and `CI_NODE_TOTAL`. */
  parallel?: { index: number; total: number }
  manualConfirmation?: string
  idTokens?: Record<string, { aud: string | string[] }>
  secrets?: Record<string, unknown>
  inputs?: PlanInput[]
  /** `release` as written, with defaults. */
  release?: Record<string, unknown>
  /** `trigger` of a bridge as written, with defaults. */
  trigger?: Record<string, unknown>
  /** `run` (steps) as written. */
  run?: unknown[]
  pages?: Record<string, unknown>
  /** Everything else that the runner or a later stage of the product reads. */
  options?: Record<string, unknown>
}
