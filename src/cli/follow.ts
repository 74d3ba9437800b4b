/**
 * Follows a pipeline: on a terminal as a block that is redrawn (stages, jobs, what runs for how long), elsewhere as one line
 * for each change. Where the changes come from is the caller's affair: the server's events for `pipeline watch`, the
 * coordinator in this process for `run`.
 */
import sliceAnsi from 'slice-ansi'
import stringWidth from 'string-width'
import { printable } from './printable.js'
import { duration, statusText, type Terminal } from './terminal.js'

/** A job, as followers print it. */
export interface FollowedJob {
  id: number
  name: string
  stage: string
  status: string
  allow_failure: boolean
  failure_reason?: string | null
  failure_message?: string | null
  /** Lines of its log that show why it failed. */
  failure_lines?: readonly string[]
  runner?: string | null
  /** Milliseconds since 1970. */
  started_at: number | null
  finished_at: number | null
  /** The pipeline that a trigger job has made. */
  downstream?: FollowedPipeline
}

/** A pipeline, as followers print it. */
export interface FollowedPipeline {
  id: number
  status: string
  jobs: FollowedJob[]
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const redrawMs = 100

/** A job, and what it is called among those of the whole tree of pipelines: behind the trigger jobs above it. */
export interface Placed {
  job: FollowedJob
  name: string
  depth: number
}

/** All jobs of a pipeline, those of downstream pipelines behind the job that made them. */
export function placedJobs(pipeline: FollowedPipeline, above = '', depth = 0): Placed[] {
  return pipeline.jobs.flatMap((job) => {
    const name = `${above}${job.name}`
    const below = job.downstream === undefined ? [] : placedJobs(job.downstream, `${name} › `, depth + 1)
    return [{ job, name, depth }, ...below]
  })
}

/** The picture of one pipeline, told of each change. */
export class PipelineView {
  readonly #terminal: Terminal
  readonly #known = new Map<number, string>()
  #pipeline: FollowedPipeline | undefined
  /** The lines on the screen that a redraw replaces. */
  #drawn: string[] = []
  #frame = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    if (terminal.live) {
      this.#timer = setInterval(() => this.#redraw(), redrawMs)
      this.#timer.unref()
      terminal.framed((print) => this.#above(print))
    }
  }

  /** Takes in the state as it is now. */
  update(pipeline: FollowedPipeline): void {
    // News that was on its way would draw the block once more.
    if (this.#closed) return
    this.#pipeline = pipeline
    for (const { job, name } of placedJobs(pipeline)) {
      const before = this.#known.get(job.id)
      if (before === job.status) continue
      this.#known.set(job.id, job.status)
      if (this.#terminal.live || job.status === 'created') continue
      this.#terminal.say(jobLine(this.#terminal, job, name))
      for (const line of shownLines(this.#terminal, job)) this.#terminal.say(line)
    }
    this.#redraw()
  }

  /** What anybody prints meanwhile goes above the block. */
  #above(print: () => void): void {
    this.#erase()
    print()
    this.#redraw()
  }

  /** Leaves the last state on the screen, once. Safe to repeat. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    this.#timer = undefined
    if (this.#terminal.live) this.#terminal.framed(undefined)
    this.#redraw()
    this.#drawn = []
  }

  #redraw(): void {
    const pipeline = this.#pipeline
    if (!this.#terminal.live || !pipeline) return
    this.#frame++
    const lines = this.#block(pipeline)
    // Nothing is seen of the moment between the old block and the new one.
    process.stderr.write(`${this.#erasure()}${lines.map((line) => `${line}\n`).join('')}`)
    this.#drawn = lines
  }

  #erase(): void {
    if (this.#drawn.length > 0) process.stderr.write(this.#erasure())
    this.#drawn = []
  }

  /** A terminal that has become narrower since shows a line in several rows. */
  #erasure(): string {
    const { columns } = this.#terminal
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(stringWidth(line) / columns)), 0)
    return rows === 0 ? '' : `\u001b[${Math.min(rows, this.#terminal.rows - 1)}A\r\u001b[J`
  }

  /** At most a line less than the screen has: what has left it above cannot be redrawn. */
  #block(pipeline: FollowedPipeline): string[] {
    const { colors, columns, rows } = this.#terminal
    const head = `${colors.bold(`pipeline ${pipeline.id}`)} ${statusText(this.#terminal, pipeline.status)}`
    const jobs = placedJobs(pipeline)
    const body = this.#stageLines(pipeline)
    const room = Math.max(1, rows - 1)
    const lines =
      body.length < room ? [head, ...body.map(({ line }) => line)] : [head, ...this.#fitting(body, jobs, room)]
    // The last column is for half of a wide character that the cut goes through.
    return lines.slice(0, room).map((line) => sliceAnsi(line, 0, Math.max(1, columns - 1)))
  }

  #stageLines(pipeline: FollowedPipeline, depth = 0): { line: string; rank: number; job: boolean }[] {
    const { colors } = this.#terminal
    const indent = '  '.repeat(depth)
    return [...new Set(pipeline.jobs.map((job) => job.stage))].flatMap((stage) => [
      { line: `${indent}  ${colors.dim(printable(stage))}`, rank: 4, job: false },
      ...pipeline.jobs
        .filter((job) => job.stage === stage)
        .flatMap((job) => [
          { line: `${indent}    ${this.#liveLine(job)}`, rank: ranks[job.status] ?? 3, job: true },
          ...(job.downstream ? this.#stageLines(job.downstream, depth + 1) : []),
        ]),
    ])
  }

  #liveLine(job: FollowedJob): string {
    const { colors } = this.#terminal
    const running = job.status === 'running' && job.started_at !== null
    const spin = running ? colors.blue(frames[this.#frame % frames.length]!) : ' '
    const since = running ? colors.dim(duration((Date.now() - job.started_at!) / 1000)) : ''
    return `${spin} ${jobLine(this.#terminal, job, job.name)} ${since}`.trimEnd()
  }

  /** What matters most, in its order, and how many there are of the rest. */
  #fitting(body: { line: string; rank: number; job: boolean }[], jobs: Placed[], room: number): string[] {
    const kept = new Set(
      body
        .filter(({ job }) => job)
        .sort((a, b) => a.rank - b.rank)
        .slice(0, Math.max(0, room - 2)),
    )
    return [
      ...body.filter((one) => kept.has(one)).map(({ line }) => line),
      `  ${this.#terminal.colors.dim(countsOf(jobs))}`,
    ]
  }
}

/** Which jobs are shown where there is no room for all. */
const ranks: Record<string, number> = { running: 0, canceling: 0, failed: 1, pending: 2, preparing: 2 }

/** A job's status, name, and what else there is to say of it. */
export function jobLine(terminal: Terminal, job: FollowedJob, name: string): string {
  const { colors } = terminal
  const status = statusText(terminal, job.status, job.status === 'failed' && job.allow_failure)
  const took = tookSeconds(job)
  const facts = [
    took === null ? '' : duration(took),
    job.status === 'running' && job.runner ? `on ${job.runner}` : '',
    job.status === 'failed' ? (job.failure_message ?? job.failure_reason ?? '') : '',
    job.status === 'failed' && job.allow_failure ? '(allowed to fail)' : '',
  ]
  return `${status} ${printable(name)} ${colors.dim(printable(facts.filter(Boolean).join(' ')))}`.trimEnd()
}

/** The lines of its log that show why a job failed, to stand below its own line. */
export function shownLines({ colors }: Terminal, job: FollowedJob): string[] {
  if (job.status !== 'failed') return []
  return (job.failure_lines ?? []).map((line) => `${colors.dim('  |')} ${printable(line)}`)
}

/** Seconds; null while it has not both begun and ended. */
export function tookSeconds({ started_at, finished_at }: FollowedJob): number | null {
  return started_at !== null && finished_at !== null ? (finished_at - started_at) / 1000 : null
}

function countsOf(jobs: readonly Placed[]): string {
  const counts = new Map<string, number>()
  for (const { job } of jobs) counts.set(job.status, (counts.get(job.status) ?? 0) + 1)
  return `${jobs.length} jobs: ${[...counts].map(([status, count]) => `${count} ${status}`).join(', ')}`
}
