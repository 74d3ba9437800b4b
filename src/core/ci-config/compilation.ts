/**
 * What compiling is given and returns: the text of a `.gitlab-ci.yml` with what it may include, and the compiled file, the same
 * for every pipeline of a commit and therefore cached. Plain data: it survives JSON and structured clone.
 */
import type { ConfigError } from './config-error.js'
import type { ListedJob } from './listed-job.js'
import type { PlanVariable } from './variables.js'

/** What compiling returns: the compiled file or errors, and what it depends on. */
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
  /** With the outline: also of a file that is wrong only for lack of inputs. */
  offer?: RunOffer
}

/** What a file asks for of somebody who runs a pipeline by hand. */
export interface RunOffer {
  inputs: InputOffer[]
  /** Global variables that have a description. */
  variables: { key: string; value: string; description: string; options?: string[] }[]
}

/** An input of the header: https://docs.gitlab.com/ci/inputs/ */
export interface InputOffer {
  name: string
  type: string
  description: string
  /** Null: it must be given. */
  default: unknown
  options: unknown[]
  regex: string | null
}

/** A compiled file for people. */
export interface Outline {
  /** After includes, `extends` and references, as YAML. */
  mergedYaml: string
  /** Every job, whatever rules will say of it. */
  jobs: ListedJob[]
}

/** A file that was included, and by which other one. */
export interface IncludedFile {
  request: IncludeRequest
  /** Project and commit of the file that included this one; absent: those of the main file. */
  project?: string
  ref?: string
}

/** The compiled file, or all that is wrong with it. */
export type CompileOutcome =
  | { ok: true; config: CiConfig; warnings: ConfigError[] }
  | { ok: false; errors: ConfigError[]; warnings: ConfigError[] }

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

/** The included text, or in a sentence why there is none. */
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

/** For wildcards: `local` with `*`. Returns every path of the project at that commit. */
export type ListFiles = (project?: string, ref?: string) => Promise<string[]>

/** The world around a file, as far as it is asked. */
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
