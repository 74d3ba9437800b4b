/**
 * The one module that plugin authors import (`import { definePlugin } from 'signalbox/plugin'`).
 *
 * A plugin's default export is what `definePlugin` returns. When the coordinator or the runner starts, the host checks
 * `apiVersion` and `requires`, validates the configuration, calls `setup` once, and `close` once at the end. In `setup`
 * the plugin attaches hooks to its host:
 *
 * - an **executor** provides: which features its jobs can use (read by the matcher), and how a job is run;
 * - a **classifier** decides: from an exit code and other evidence to a failure reason and a sentence;
 * - an **exporter** observes: it is handed every committed event, in order, at least once;
 * - an **admission** rule decides whether a job may go to the runner that was found for it, now, later or never.
 *
 * Everything that crosses this surface is plain data, every call has a deadline, and nothing handed over is shared
 * afterwards: a plugin of others runs in a process of its own, on the coordinator and beside a runner alike.
 */

import type { AdmissionRequest, AdmissionVerdict } from '../core/admission.js'
import type { Evidence, Verdict } from '../core/failure.js'

export type { AdmissionRequest, AdmissionVerdict } from '../core/admission.js'
export type { Evidence, FailureClass, Verdict } from '../core/failure.js'

/** Version of this surface. A plugin that names another one is not loaded. */
export const apiVersion = 1

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** What a plugin is. `C` is its configuration after validation. */
export interface PluginDefinition<C = Record<string, Json>> {
  /**
   * `kind.name`, such as `classifier.log-patterns`: lower-case letters, digits and dashes around one dot. Unique among
   * the plugins that are loaded.
   */
  id: string
  apiVersion: typeof apiVersion
  /** Ids of plugins that must be set up before this one. If one of them is not ready, this one is not set up. */
  requires?: readonly string[]
  /**
   * Checks the table given in `signalbox.toml` and returns the configuration. Throws a `PluginConfigError` that names
   * the key at fault; unknown keys must be errors. Absent: the plugin takes no configuration.
   */
  config?: (given: Record<string, Json>) => C
  /**
   * Attaches the plugin's hooks; they come into force when it has ended, and none can be attached later. Deadline 10 s.
   * A plugin whose setup throws is not used.
   */
  setup(host: PluginHost, config: C): PluginInstance | undefined | Promise<PluginInstance | undefined>
}

/** What hooks a plugin attaches. */
export type PluginKind = 'executor' | 'classifier' | 'exporter' | 'admission'

/**
 * The table `signalbox` of a plugin's package.json. It is read before any code of the plugin: a plugin that names another
 * version is not loaded, and hooks of a kind that is not named here are refused.
 */
export interface PluginManifest {
  apiVersion: typeof apiVersion
  kind: PluginKind | PluginKind[]
}

/** What `setup` may return. */
export interface PluginInstance {
  /** Called once when the host stops, also after a failed start. Deadline 2 s. */
  close?(): void | Promise<void>
}

/** Thrown by `config` for a configuration that is not right. `key` is the path of the key at fault, such as `patterns.0.match`. */
export class PluginConfigError extends Error {
  override readonly name = 'PluginConfigError'
  constructor(
    readonly key: string,
    message: string,
  ) {
    super(message)
  }
}

/** What a plugin can reach. Anything that is not here is private to Signalbox. */
export interface PluginHost {
  readonly logger: PluginLogger
  readonly metrics: PluginMetrics
  /** Milliseconds since 1970 by the node's clock. */
  now(): number
  /** Aborted when the plugin is about to be closed. */
  readonly signal: AbortSignal
  /**
   * Offers an executor under `name`: what a runner is started with (`--executor name`). Names of all hooks are lower-case
   * letters, digits and dashes; that of an executor must be free.
   */
  executor(name: string, executor: Executor): void
  /** Adds a classifier. Classifiers are asked in the order of the configuration; the first verdict counts. */
  classify(name: string, classify: Classifier): void
  /** Adds an exporter. Its place in the events is kept under the plugin's id and `name`. */
  export(name: string, exporter: Exporter): void
  /** Adds an admission rule. All rules must admit a job; they are asked at the same time. */
  admit(name: string, admission: Admission): void
}

/** Writes to the server's log, with the plugin's id. More than 64 KiB in a second is cut. */
export interface PluginLogger {
  debug(fields: Record<string, Json>, message: string): void
  info(fields: Record<string, Json>, message: string): void
  warn(fields: Record<string, Json>, message: string): void
  error(fields: Record<string, Json>, message: string): void
}

/**
 * Metrics of this plugin, shown on `/metrics` under `signalbox_plugin_<id>_<name>`, counters with `_total` at their end.
 * Names are lower-case letters, digits and underscores. Labels must come from small closed sets: never a job, pipeline
 * or user id. What is not right, or beyond 2,000 series, is dropped.
 */
export interface PluginMetrics {
  /** Adds `by` (default 1, never negative) to a counter. */
  count(name: string, labels?: Record<string, string>, by?: number): void
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Record<string, string>): void
}

// ---------------------------------------------------------------------------------------------------------- executors

/** What is known of a runner manager when its capabilities are asked for. */
export interface ExecutorFacts {
  executor: string
  platform: string
  architecture: string
  /** Features that the runner itself reports, under GitLab's names. */
  features: string[]
}

/** An executor: the coordinator reads `capabilities`, the runner calls the rest. */
export interface Executor {
  /**
   * Features that jobs of this executor can use, under GitLab's names (`image`, `services`, `artifacts`…) or the
   * plugin's own: at most 100. The matcher hands a job only to a manager that has all features the job needs. Pure: the
   * answer for the same facts is kept. Deadline 2 s.
   */
  capabilities(facts: ExecutorFacts): string[] | Promise<string[]>
  /** How to run a job; absent when this half lives elsewhere. */
  runner?: ExecutorRunner
}

/**
 * Runs jobs. Calls of one session come in order: `prepare`, `run` for each stage, `cleanUp`; `cancel` may come at any
 * time between. `cleanUp` always comes, also after a failure.
 */
export interface ExecutorRunner {
  /**
   * Where scripts find a job's folders, for an executor whose scripts see another file system than the runner: a container,
   * say, into which `PrepareInput.folders` are mounted. The runner then does sources, caches and artifacts by itself, and
   * runs none of them while a script may. Absent, or nothing for a job: scripts find the folders where they are. Asked of
   * built-ins only, at once: one in a process of its own is not.
   */
  place?(input: PlaceInput): Placement | undefined
  /**
   * Makes the environment ready. Deadline: what is left of the job's timeout. `output` writes to the job's log, as that of
   * `run` does.
   */
  prepare(input: PrepareInput, output: (chunk: Uint8Array) => Promise<void>): Promise<PrepareResult>
  /**
   * Runs one script to its end. `output` receives the combined output as it comes; wait for the promise it returns
   * before handing over more, so that a full spool slows the job down instead of filling memory.
   * Resolves for every exit; rejects only when the script could not be run (a system failure, not the script's).
   */
  run(input: RunInput, output: (chunk: Uint8Array) => Promise<void>): Promise<RunResult>
  /**
   * Stops the script that runs: politely, then after `graceMs` by force, with every process it has started. Resolves
   * when nothing of it is left.
   */
  cancel(input: CancelInput): Promise<void>
  /**
   * Removes what `prepare` and `run` made outside the job's folders, and ends what still runs of it. May come twice, and for
   * a session of a process that has died.
   */
  cleanUp(input: { session: string }): Promise<void>
}

export interface PlaceInput {
  /** The project's place below the folder of all builds, such as `group/project`. */
  path: string
  /** Whether the job names an image. */
  image: boolean
}

export interface Placement {
  /** The folder of all builds, the sources in it, and the temporary files, as scripts see them. */
  builds: string
  build: string
  temp: string
  /** The folder of this host that scripts see as `build`, where it is not for the runner to choose. */
  hostBuild?: string
}

export interface PrepareInput {
  /** Names the job's run for all later calls. */
  session: string
  job: {
    id: number
    name: string
    projectId: number
    projectPath: string
    image?: JobImage
    services: (JobImage & { alias?: string; command?: string[]; variables: Record<string, string> })[]
    /** The job's variables as its scripts find them. */
    variables: Record<string, string>
    /** Those of them that are no secrets. */
    publicVariables: Record<string, string>
    /** Users of registries that the coordinator gave with the job. */
    credentials: { url: string; username: string; password: string }[]
  }
  /** What tells this runner's jobs apart: the part of its token that may be shown, and the job's place among the project's. */
  runner: { shortToken: string; slot: number }
  /** Where the sources are, and where temporary files of the job may go. Both exist. */
  folders: { build: string; temp: string }
  /** The same as scripts see them, as `place` has said. */
  inside: { builds: string; build: string; temp: string }
}

export interface JobImage {
  name: string
  entrypoint?: string[]
  pullPolicy?: string[]
  /** Of `image:docker`. */
  platform?: string
  user?: string
}

export type PrepareResult =
  | {
      /** Shown at the top of the log and in the job's facts: shell, host, container… */
      facts: Record<string, string>
      /** The shell that `script` must be written for. */
      shell: 'bash' | 'sh'
    }
  /** The job cannot be run, and this is why: one of GitLab's failure reasons, and a sentence. */
  | { failure: { reason: PrepareFailure; message: string } }

export type PrepareFailure = 'runner_system_failure' | 'image_pull_failure' | 'runner_configuration_error'

export interface RunInput {
  session: string
  /** `get_sources`, `step_script`, `after_script`, `upload_artifacts_on_success`… */
  stage: string
  /** The whole script, written for the shell named by `prepare`. */
  script: string
  env: Record<string, string>
  /** Folder in which the script starts. */
  cwd: string
}

export interface RunResult {
  /** Null if a signal ended it. */
  exitCode: number | null
  signal: string | null
}

export interface CancelInput {
  session: string
  /** 0: at once by force. */
  graceMs: number
}

// -------------------------------------------------------------------------------------------------------- classifiers

/**
 * Returns a verdict, or nothing when the evidence says nothing to it. Deadline 2 s. Built-ins must be pure, answer at once
 * and take at most 5 ms.
 */
export type Classifier = (evidence: Evidence) => Verdict | undefined | Promise<Verdict | undefined>

// ---------------------------------------------------------------------------------------------------------- exporters

/** A committed fact. `id` grows; `kind` is `noun.past`, such as `job.finished`. */
export interface ExportedEvent {
  id: number
  /** Milliseconds since 1970. */
  at: number
  kind: string
  projectId: number | null
  pipelineId: number | null
  jobId: number | null
  runnerId: number | null
  data: Record<string, Json>
}

/** A figure that is read when somebody asks: queue depth, open leases… */
export interface Gauge {
  name: string
  help: string
  /** A `counter` only grows, and its name ends with `_total`. Default `gauge`. */
  type?: 'gauge' | 'counter'
  values: { labels: Record<string, string>; value: number }[]
}

export interface Exporter {
  /**
   * Receives committed events in order, at least once, at most 500 at a time; the next batch comes after the promise
   * resolves. Deadline 2 s; a batch that fails or is late is sent again. After a crash the last ones may come again: an
   * event's `id` tells. An exporter that is new starts with the events from then on.
   */
  onEvents?(events: ExportedEvent[]): void | Promise<void>
  /**
   * Serves `GET /metrics` if the exporter is the one for it: the last one in the configuration that can, else the
   * built-in one, which also stands in when this one fails. `gauges` are the node's figures at this moment; `accept` is
   * the header of the request, empty if it had none. Returns the body, at most 16 MiB, and its content type. Deadline 2 s.
   */
  scrape?(gauges: Gauge[], accept: string): Scrape | Promise<Scrape>
}

export interface Scrape {
  contentType: string
  body: string
}

// ---------------------------------------------------------------------------------------------------------- admission

/**
 * Says whether the job may start. Asked for each job after a runner was found and before it is offered, so it is on the
 * way of every job: deadline 500 ms, for all rules together. One that fails or is late admits or holds, as the operator
 * has configured it.
 */
export type Admission = (request: AdmissionRequest) => AdmissionVerdict | Promise<AdmissionVerdict>

/** Gives a plugin definition its type. Returns its argument. */
export function definePlugin<C = Record<string, Json>>(definition: PluginDefinition<C>): PluginDefinition<C> {
  return definition
}
