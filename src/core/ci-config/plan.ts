/**
 * What a `.gitlab-ci.yml` means: the two results of this module. `CiConfig` is the compiled file, the same for every
 * pipeline of a commit and therefore cached; `PipelinePlan` is the pipeline that one event makes of it, with every rule
 * decided. Both are plain data: they survive JSON and structured clone.
 */
import type { InputType } from './inputs.js'
import type { ListedJob } from './list-jobs.js'

/** A variable as it will stand in a job's environment. */
export interface PlanVariable {
  key: string
  value: string
  /** The value is never expanded (`expand: false`). */
  raw?: boolean
  /** The runner writes the value to a file and sets the variable to its path. */
  file?: boolean
  /** Never shown: replaced in the trace. */
  masked?: boolean
}

export interface PlanImage {
  name: string
  entrypoint?: string[]
  pullPolicy?: string[]
  executorOpts?: { docker?: Record<string, unknown>; kubernetes?: Record<string, unknown> }
}

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

/** An input of a job: its value, which people may choose anew when they start the job by hand, and from what. */
export interface PlanInput {
  key: string
  value: { type: InputType; content: unknown }
  options?: unknown[]
  /** What a text must match: RE2, not anchored. */
  regex?: string
}

export interface PlanRetry {
  max: number
  /** Failure reasons, or `always`. Empty when only exit codes decide. */
  when: string[]
  exitCodes?: number[]
}

export interface PlanEnvironment {
  name: string
  url?: string
  action: 'start' | 'prepare' | 'stop' | 'verify' | 'access'
  onStop?: string
  autoStopIn?: string
  deploymentTier?: string
}

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

/** One thing wrong with a file, where, and what was expected. Lines and columns count from 1. */
export interface ConfigError {
  message: string
  /** Path into the document, such as `jobs:build:script`. */
  path: string
  /** The file, if it is not the main one. */
  file?: string
  line?: number
  column?: number
}

/** An error as a sentence, with the path it is about unless that stands in it anyway. */
export function describeError({ message, path }: Pick<ConfigError, 'message' | 'path'>): string {
  return path === '' || message.startsWith(path) ? message : `${path}: ${message}`
}

export type CompileResult = CompileOutcome & {
  /**
   * Names of the given variables that were looked at: with the same values of these, and the same answers of the
   * functions, compiling gives the same again. Absent when it was cut short and may end otherwise next time.
   */
  looked?: string[]
  /** Files that were included, nested ones too, in the order of merging; each as often as it was. */
  includes?: IncludedFile[]
  /** Of a right file, when asked for. */
  outline?: Outline
}

/** A compiled file for people. */
export interface Outline {
  /** After includes, `extends` and references, as YAML. */
  mergedYaml: string
  /** Every job, whatever rules will say of it. */
  jobs: ListedJob[]
}

export interface IncludedFile {
  request: IncludeRequest
  /** Project and commit of the file that included this one; absent: those of the main file. */
  project?: string
  ref?: string
}

export type CompileOutcome =
  | { ok: true; config: CiConfig; warnings: ConfigError[] }
  | { ok: false; errors: ConfigError[]; warnings: ConfigError[] }

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

/**
 * A compiled file. Opaque outside this module; plain data, so that it can be cached as JSON and passed between threads.
 */
export interface CiConfig {
  readonly version: 1
  readonly stages: string[]
  /** The merged document as YAML text, for `lint --merged`; made on demand by `mergedYaml`. */
  readonly document: unknown
  /** The rest belongs to compile.ts and plan-pipeline.ts. */
  readonly [key: string]: unknown
}

/** A file that `include` or `trigger` named; the only door of this module to the world. */
export type IncludeRequest =
  | { kind: 'local'; path: string; project?: string; ref?: string }
  | { kind: 'project'; project: string; path: string; ref?: string }
  | { kind: 'remote'; url: string }
  | { kind: 'template'; name: string }
  | { kind: 'component'; component: string }
  /** A file that a job of the pipeline upstream has made. */
  | { kind: 'artifact'; job: string; path: string }

export type IncludeAnswer =
  | {
      ok: true
      content: string
      /** Where nested `local` includes resolve: the project and commit that the file came from. */
      project?: string
      ref?: string
      /** For components: what `$[[ component.* ]]` gives. */
      component?: { name: string; version?: string; sha?: string; reference?: string }
    }
  | { ok: false; reason: string }

/** For wildcards: `local` with `*`. Gives every path of the project at that commit. */
export type ListFiles = (project?: string, ref?: string) => Promise<string[]>

export interface CompileOptions {
  /** Name of the main file in messages; default `.gitlab-ci.yml`. */
  file?: string
  fetchInclude: (request: IncludeRequest) => Promise<IncludeAnswer>
  listFiles?: ListFiles
  /** Configuration-time variables (section "include"): project, pipeline and predefined ones of class W. */
  variables?: PlanVariable[]
  /** How many files may be included, nested ones counted; default 150. */
  maxIncludes?: number
  /** The main file stands for a trigger job: it may include artifacts of the pipeline upstream. */
  artifactIncludes?: boolean
  /** Also make the outline. */
  outline?: boolean
  /** Inputs given to the main file's header. */
  inputs?: Record<string, unknown>
  /** Paths changed by the event, for `include:rules:changes`; undefined when unknown. */
  changedPaths?: () => Promise<string[] | undefined>
  /** Paths changed against a ref, for `compare_to` in `include:rules:changes`; undefined when there is no such ref. */
  changedSince?: (ref: string) => Promise<string[] | undefined>
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
