/** Follows a pipeline of the coordinator in this process: its jobs' changes, and their logs line by line. */
import type { Core } from '../core/core.js'
import { is } from '../core/lifecycle/job-machine.js'
import { hasEnded, type Pipeline } from '../core/pipeline.js'
import { type JobView, listJobViews } from '../core/store/job-views.js'
import { getPipeline } from '../core/store/pipelines.js'
import { findTrace } from '../core/store/traces.js'
import { type FollowedPipeline, PipelineView } from './follow.js'
import { LineReader, readableLog, ScriptOutput } from './log-text.js'
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

export interface FollowOptions {
  /** Prints nothing. */
  quiet: boolean
  /** Starts the manual jobs that were named. Gives whether there were any: then the pipeline goes on. */
  play: (jobs: readonly JobView[]) => Promise<boolean>
}

const hues = ['cyan', 'magenta', 'blue', 'green', 'yellow'] as const

export class LocalFollower {
  readonly #core: Core
  readonly #pipelineId: number
  readonly #terminal: Terminal
  readonly #view: PipelineView | undefined
  readonly #quiet: boolean
  readonly #play: FollowOptions['play']
  readonly #logs = new Map<number, FollowedLog>()
  readonly #stop: () => void
  #looking = false
  #again = false
  #last: FollowedPipeline = { id: 0, status: 'created', jobs: [] }
  #ended!: () => void
  #fail!: (error: unknown) => void
  readonly #end: Promise<void>

  constructor(core: Core, pipeline: Pipeline, terminal: Terminal, options: FollowOptions) {
    this.#core = core
    this.#pipelineId = pipeline.id
    this.#terminal = terminal
    this.#quiet = options.quiet
    this.#play = options.play
    this.#view = options.quiet ? undefined : new PipelineView(terminal)
    this.#end = new Promise((resolve, reject) => {
      this.#ended = resolve
      this.#fail = reject
    })
    // Whoever waits for the end hears of it; it may come before anybody does.
    this.#end.catch(() => undefined)
    this.#stop = core.events.listen((event) => event.pipelineId === pipeline.id && this.#look())
    this.#look()
  }

  /** Resolves with the last state when nothing of the pipeline will move by itself any more. */
  async end(): Promise<FollowedPipeline> {
    await this.#end
    this.#stop()
    for (const id of this.#logs.keys()) await this.#closeLog(id, true)
    this.#view?.close()
    return this.#last
  }

  /** The pipeline and its jobs as one document. */
  async document(): Promise<object> {
    const pipeline = await getPipeline(this.#core.store.read, this.#pipelineId)
    return {
      id: pipeline.id,
      status: pipeline.status,
      ref: pipeline.ref,
      sha: pipeline.sha,
      duration: pipeline.durationMs === null ? null : pipeline.durationMs / 1000,
      jobs: this.#last.jobs.map(({ started_at, finished_at, ...job }) => ({
        ...job,
        duration: started_at === null || finished_at === null ? null : (finished_at - started_at) / 1000,
      })),
    }
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
    const { store } = this.#core
    const pipeline = await getPipeline(store.read, this.#pipelineId)
    const jobs = await listJobViews(store.read, this.#pipelineId)
    this.#last = { id: pipeline.id, status: pipeline.status, jobs }
    for (const job of jobs) {
      if (job.status === 'running' && !this.#logs.has(job.id)) this.#openLog(job.id, job.name)
      // A job's last lines come before the news that it has ended.
      if (is('finished', job.status as never) && this.#logs.has(job.id))
        await this.#closeLog(job.id, job.status === 'failed')
    }
    this.#view?.update(this.#last)
    if (!(await this.#play(jobs)) && hasEnded(pipeline.status)) this.#ended()
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
    if (!log || this.#quiet) return
    log.turn = log.turn.then(async () => {
      if (length <= log.printed) return
      const bytes = await this.#core.traces.read(jobId, log.printed, length)
      log.printed += bytes.length
      this.#print(log.name, log.output.push(log.lines.push(bytes)))
    })
  }

  async #closeLog(jobId: number, failed: boolean): Promise<void> {
    const log = this.#logs.get(jobId)
    if (!log) return
    log.stop()
    const trace = await findTrace(this.#core.store.read, jobId)
    this.#printTo(jobId, trace?.length ?? 0)
    await log.turn
    if (!this.#quiet) this.#print(log.name, log.output.push(log.lines.end()) + log.output.end(failed))
    this.#logs.delete(jobId)
  }

  #print(name: string, text: string): void {
    if (text === '') return
    const { colors } = this.#terminal
    const hue = hues[Array.from(name).reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % hues.length]!
    const prefix = colors[hue](`${name} |`)
    const body = readableLog(text, colors.isColorSupported)
    const lines = body.endsWith('\n') ? body.slice(0, -1).split('\n') : body.split('\n')
    this.#view?.above(() => {
      for (const line of lines) this.#terminal.out(`${prefix} ${line}`)
    })
  }
}
