/**
 * Follows a pipeline of the coordinator in this process and its child pipelines: the jobs' changes, and their logs line by
 * line.
 */
import type { Core } from '../core/core.js'
import { is, type JobStatus } from '../core/lifecycle/job-machine.js'
import { hasEnded, type Pipeline } from '../core/pipeline.js'
import { listChildren } from '../core/store/downstream.js'
import { type JobView, listJobViews } from '../core/store/job-views.js'
import { getPipeline } from '../core/store/pipelines.js'
import { findTrace } from '../core/store/traces.js'
import { type FollowedJob, type FollowedPipeline, PipelineView, placedJobs, tookSeconds } from './follow.js'
import { LineReader, readableLog, ScriptOutput } from './log-text.js'
import { printable } from './printable.js'
import type { Terminal } from './terminal.js'

interface FollowedLog {
  name: string
  printed: number
  lines: LineReader
  output: ScriptOutput
  /** What is being printed: one piece after another. */
  turn: Promise<void>
  stop: () => void
}

/** What is printed while the pipeline runs. */
export interface FollowOptions {
  /** Prints neither logs nor changes. */
  quiet: boolean
  /** Says when each line of a log came. */
  timestamps: boolean
  /** Whether any job makes a pipeline: where none does, nobody looks for them. */
  triggers: boolean
  /** Starts the manual jobs that were named. Returns whether there were any: then the pipeline goes on. */
  play: (jobs: readonly JobView[]) => Promise<boolean>
  /** A job has made a pipeline. */
  onChild: (pipelineId: number) => Promise<void>
}

/** A pipeline with everything below it, as it was read last. */
export interface ReadPipeline extends FollowedPipeline {
  pipeline: Pipeline
  jobs: ReadJob[]
}

type ReadJob = JobView & { downstream?: ReadPipeline }

/** The last lines of a log that are kept for the end. */
const tailLines = 12

const hues = ['cyan', 'magenta', 'blue', 'green', 'yellow'] as const

/** Prints one pipeline until it has ended. */
export class LocalFollower {
  readonly #core: Core
  readonly #pipelineId: number
  readonly #terminal: Terminal
  readonly #view: PipelineView | undefined
  readonly #options: FollowOptions
  readonly #logs = new Map<number, FollowedLog>()
  /** By job: what its log ended with. */
  readonly #tails = new Map<number, string[]>()
  /** Jobs whose logs have been printed to their end. */
  readonly #closed = new Set<number>()
  readonly #children = new Set<number>()
  readonly #stop: () => void
  #looking = false
  #again = false
  #last: ReadPipeline | undefined
  #ended!: () => void
  #fail!: (error: unknown) => void
  readonly #end: Promise<void>

  constructor(core: Core, pipeline: Pipeline, terminal: Terminal, options: FollowOptions) {
    this.#core = core
    this.#pipelineId = pipeline.id
    this.#terminal = terminal
    this.#options = options
    this.#view = options.quiet ? undefined : new PipelineView(terminal)
    this.#end = new Promise((resolve, reject) => {
      this.#ended = resolve
      this.#fail = reject
    })
    // Whoever waits for the end hears of it; it may come before anybody does.
    this.#end.catch(() => undefined)
    // Every pipeline of this coordinator is ours.
    this.#stop = core.events.listen((event) => event.pipelineId != null && this.#look())
    this.#look()
  }

  /** Resolves with the last state when nothing will move by itself any more, here and in child pipelines. */
  async end(): Promise<ReadPipeline> {
    await this.#end
    this.#stop()
    for (const id of this.#logs.keys()) await this.#closeLog(id, true)
    this.#view?.close()
    return this.#last!
  }

  /** What the log of a job ended with, without control characters. */
  tailOf(jobId: number): readonly string[] {
    return this.#tails.get(jobId) ?? []
  }

  /** The pipeline and those below it that are known. */
  get pipelineIds(): number[] {
    return [this.#pipelineId, ...this.#children]
  }

  /** Reads the state anew; changes that come meanwhile are read once more. */
  #look(): void {
    this.#again = true
    if (this.#looking) return
    this.#looking = true
    this.#read().then(() => undefined, this.#fail)
  }

  async #read(): Promise<void> {
    try {
      while (this.#again) await this.#readOnce()
    } finally {
      this.#looking = false
    }
  }

  async #readOnce(): Promise<void> {
    this.#again = false
    const root = await this.#readTree(this.#pipelineId)
    this.#last = root
    const all = placedJobs(root)
    for (const { job, name } of all) {
      const finished = is('finished', job.status as JobStatus)
      if (job.started_at !== null && !this.#logs.has(job.id) && !this.#closed.has(job.id)) this.#openLog(job.id, name)
      // A job's last lines come before the news that it has ended.
      if (finished) await this.#closeLog(job.id, job.status === 'failed')
    }
    this.#view?.update(root)
    if (!(await this.#options.play(root.jobs)) && isStill(root)) this.#ended()
  }

  async #readTree(pipelineId: number): Promise<ReadPipeline> {
    const { read } = this.#core.store
    // The pipelines that are there after its jobs were read are those that the jobs can have made.
    const jobs: ReadJob[] = await listJobViews(read, pipelineId, { debugLogs: true })
    const pipeline = await getPipeline(read, pipelineId)
    const by = new Map(jobs.map((job) => [job.id, job]))
    for (const id of this.#options.triggers ? await listChildren(read, pipelineId) : []) {
      if (!this.#children.has(id)) {
        this.#children.add(id)
        await this.#options.onChild(id)
      }
      const child = await this.#readTree(id)
      const made = by.get(child.pipeline.sourceJobId ?? 0)
      if (made) made.downstream = child
    }
    return { id: pipeline.id, status: pipeline.status, pipeline, jobs }
  }

  #openLog(jobId: number, name: string): void {
    const log: FollowedLog = {
      name,
      printed: 0,
      lines: new LineReader(),
      output: new ScriptOutput(),
      turn: Promise.resolve(),
      stop: this.#core.traces.watch(jobId, (length) => this.#printTo(jobId, length)),
    }
    this.#logs.set(jobId, log)
  }

  #printTo(jobId: number, length: number): void {
    const log = this.#logs.get(jobId)
    if (!log) return
    log.turn = log.turn.then(async () => {
      if (length <= log.printed) return
      const bytes = await this.#core.traces.read(jobId, log.printed, length)
      log.printed += bytes.length
      this.#print(jobId, log.name, log.output.push(log.lines.push(bytes)))
    })
  }

  async #closeLog(jobId: number, failed: boolean): Promise<void> {
    const log = this.#logs.get(jobId)
    if (!log) return
    log.stop()
    const trace = await findTrace(this.#core.store.read, jobId)
    this.#printTo(jobId, trace?.length ?? 0)
    await log.turn
    this.#print(jobId, log.name, log.output.push(log.lines.end()) + log.output.end(failed))
    this.#logs.delete(jobId)
    this.#closed.add(jobId)
  }

  #print(jobId: number, name: string, text: string): void {
    if (text === '') return
    const { colors } = this.#terminal
    const body = readableLog(text, colors.isColorSupported)
    const lines = body.endsWith('\n') ? body.slice(0, -1).split('\n') : body.split('\n')
    this.#tails.set(jobId, [...(this.#tails.get(jobId) ?? []), ...lines.slice(-tailLines)].slice(-tailLines))
    if (this.#options.quiet) return
    const hue = hues[Array.from(name).reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % hues.length]!
    const time = this.#options.timestamps ? `${colors.dim(timeOfDay(new Date()))} ` : ''
    const prefix = `${time}${colors[hue](`${printable(name)} |`)}`
    this.#terminal.together(() => {
      for (const line of lines) this.#terminal.out(`${prefix} ${line}`)
    })
  }
}

/**
 * Nothing moves by itself any more. A delayed job does, also where the pipeline waits for a person already; a trigger job
 * does not while the pipeline that it follows waits for a person.
 */
function isStill({ pipeline, jobs }: ReadPipeline): boolean {
  const held = jobs.filter(({ status, downstream }) => status === 'running' && downstream && waits(downstream))
  if (!hasEnded(pipeline.status) && held.length === 0) return false
  return jobs.every(
    (job) =>
      held.includes(job) || (!moving.has(job.status) && (job.downstream === undefined || isStill(job.downstream))),
  )
}

function waits(pipeline: ReadPipeline): boolean {
  return isStill(pipeline) && !is('completed', pipeline.pipeline.status)
}

const moving: ReadonlySet<string> = new Set<JobStatus>([
  'pending',
  'running',
  'preparing',
  'scheduled',
  'canceling',
  'waiting_for_resource',
  'waiting_for_callback',
])

/** `14:03:59.120`, of this machine's zone. */
function timeOfDay(at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`
}

/** A pipeline and its jobs as one document, with what they have started below them. */
export function documentOf({ pipeline, jobs }: ReadPipeline): object {
  return {
    id: pipeline.id,
    status: pipeline.status,
    ref: pipeline.ref.replace(/^refs\/heads\//, ''),
    sha: pipeline.sha,
    duration: pipeline.durationMs === null ? null : pipeline.durationMs / 1000,
    jobs: jobs.map(({ downstream, ...job }) => {
      const { started_at: _, finished_at: __, ...facts } = job
      const duration = tookSeconds(job as FollowedJob)
      return { ...facts, duration, ...(downstream ? { downstream_pipeline: documentOf(downstream) } : {}) }
    }),
  }
}
