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
import type { Evidence, Verdict } from '../core/evidence.js'
import type { StandardSchema } from './schema.js'

export type { AdmissionRequest, AdmissionVerdict } from '../core/admission.js'
export type { EarlierAttempt, Evidence, FailureClass, Verdict } from '../core/evidence.js'
export { type Configured, type SchemaIssue, type Shape, type StandardSchema, schema, type Validated } from './schema.js'

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
  /** The version of this surface that the plugin was written for. */
  apiVersion: typeof apiVersion
  /** Ids of plugins that must be set up before this one. If one of them is not ready, this one is not set up. */
  requires?: readonly string[]
  /**
   * What the plugin takes in `[plugins.config]`: a schema (`schema.table({ … })`, or a Standard Schema of any library that
   * answers at once), or a function that returns the configuration and throws a `PluginConfigError` that names the key at
   * fault. Unknown keys must be errors. Absent: the plugin takes no configuration.
   *
   * @example
   * config: schema.table({ url: schema.text(), level: schema.whole({ min: 1, max: 19, default: 10 }) })
   */
  config?: StandardSchema<C> | ((given: Record<string, Json>) => C)
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
  /** The version of this surface. */
  apiVersion: typeof apiVersion
  /** Which hooks the plugin attaches. */
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
  /** Writes to the server’s log. */
  readonly logger: PluginLogger
  /** Counts and sets figures on `/metrics`. */
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
  /** For those who look for a fault; not shown by default. */
  debug(fields: Record<string, Json>, message: string): void
  /** What has happened. */
  info(fields: Record<string, Json>, message: string): void
  /** What should not be, and does no harm yet. */
  warn(fields: Record<string, Json>, message: string): void
  /** What is broken. */
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
  /** The name that the runner was started with. */
  executor: string
  /** The runner’s operating system in Go’s words: `linux`, `darwin`, `windows`. */
  platform: string
  /** The runner’s processor in Go’s words: `amd64`, `arm64`. */
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

/** What is known of a job when its folders are placed. */
export interface PlaceInput {
  /** The project's place below the folder of all builds, such as `group/project`. */
  path: string
  /** Whether the job names an image. */
  image: boolean
}

/** Where scripts find the folders. */
export interface Placement {
  /** The folder of all builds, as scripts see it. So the next two. */
  builds: string
  /** The job’s sources. */
  build: string
  /** Its temporary files. */
  temp: string
  /** The folder of this host that scripts see as `build`, where it is not for the runner to choose. */
  hostBuild?: string
}

/** A job that is about to run. */
export interface PrepareInput {
  /** Names the job's run for all later calls. */
  session: string
  /** The job, as its payload tells of it. */
  job: {
    /** The job's id. */
    id: number
    /** As the configuration has it. */
    name: string
    /** The project's id. */
    projectId: number
    /** `group/project`. */
    projectPath: string
    /** Of `image:`; absent if the job names none. */
    image?: JobImage
    /** Of `services:`, in their order; `variables` are the service's own. */
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

/** An image of `image:` or `services:`, as the job names it. */
export interface JobImage {
  /** Such as `alpine:3.20`. */
  name: string
  /** Instead of the image’s own. */
  entrypoint?: string[]
  /** Of `always`, `if-not-present` and `never`, in the order in which they are tried. */
  pullPolicy?: string[]
  /** Of `image:docker`. */
  platform?: string
  /** Of `image:docker`. */
  user?: string
}

/** What `prepare` gives: what the environment is, or why there is none. */
export type PrepareResult =
  | {
      /** Shown at the top of the log and in the job's facts: shell, host, container… */
      facts: Record<string, string>
      /** The shell that `script` must be written for. */
      shell: 'bash' | 'sh'
    }
  /** The job cannot be run, and this is why: one of GitLab's failure reasons, and a sentence. */
  | { failure: { reason: PrepareFailure; message: string } }

/** Reasons for which a job cannot be prepared, under GitLab’s names. */
export type PrepareFailure = 'runner_system_failure' | 'image_pull_failure' | 'runner_configuration_error'

/** A script to run. */
export interface RunInput {
  /** As `prepare` had it. */
  session: string
  /** `get_sources`, `step_script`, `after_script`, `upload_artifacts_on_success`… */
  stage: string
  /** The whole script, written for the shell named by `prepare`. */
  script: string
  /** Variables of the environment, beside what the executor’s shell has. */
  env: Record<string, string>
  /** Folder in which the script starts. */
  cwd: string
}

/** How a script ended. */
export interface RunResult {
  /** Null if a signal ended it. */
  exitCode: number | null
  /** The name of the signal that ended it, such as `SIGKILL`; null if it ended by itself. */
  signal: string | null
}

/** Which script to stop, and how. */
export interface CancelInput {
  /** As `prepare` had it. */
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
  /** Grows from event to event, with gaps. */
  id: number
  /** Milliseconds since 1970. */
  at: number
  /** `noun.past`, such as `job.finished`. */
  kind: string
  /** Whose project it is about; null if none. So with the ids below. */
  projectId: number | null
  /** The pipeline. */
  pipelineId: number | null
  /** The job. */
  jobId: number | null
  /** The runner. */
  runnerId: number | null
  /** What belongs to the kind. Fields may be added; none changes its meaning. */
  data: Record<string, Json>
}

/** A figure that is read when somebody asks: queue depth, open leases… */
export interface Gauge {
  /** As on the page, with its unit at the end: `signalbox_queue_wait_seconds`. */
  name: string
  /** One sentence. */
  help: string
  /** A `counter` only grows, and its name ends with `_total`. Default `gauge`. */
  type?: 'gauge' | 'counter'
  /** One for each set of labels. */
  values: { labels: Record<string, string>; value: number }[]
}

/** Follows the events, or makes the page for `/metrics`, or both. */
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

/** A page for `/metrics`. */
export interface Scrape {
  /** Such as `text/plain; version=0.0.4`. */
  contentType: string
  /** The page. */
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
