/**
 * Follows a pipeline: on a terminal as a block that is redrawn (stages, jobs, what runs for how long), elsewhere as one line
 * for each change. Where the changes come from is the caller's affair: the server's events for `pipeline watch`, the
 * coordinator in this process for `run`.
 */
import { duration, printable, statusText, type Terminal } from './terminal.js'

export interface FollowedJob {
  id: number
  name: string
  stage: string
  status: string
  allow_failure: boolean
  failure_reason?: string | null
  failure_message?: string | null
  runner?: string | null
  /** Milliseconds since 1970. */
  started_at: number | null
  finished_at: number | null
}

export interface FollowedPipeline {
  id: number
  status: string
  jobs: FollowedJob[]
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const redrawMs = 100
/** So many jobs of a stage are shown one by one; more are counted. */
const jobsShown = 12

export class PipelineView {
  readonly #terminal: Terminal
  readonly #known = new Map<number, string>()
  #pipeline: FollowedPipeline | undefined
  #drawn = 0
  #frame = 0
  #timer: NodeJS.Timeout | undefined

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    if (terminal.live) {
      this.#timer = setInterval(() => this.#redraw(), redrawMs)
      this.#timer.unref()
    }
  }

  /** Takes in the state as it is now. */
  update(pipeline: FollowedPipeline): void {
    this.#pipeline = pipeline
    for (const job of pipeline.jobs) {
      const before = this.#known.get(job.id)
      if (before === job.status) continue
      this.#known.set(job.id, job.status)
      if (!this.#terminal.live && job.status !== 'created') this.#terminal.say(this.#line(job))
    }
    if (this.#terminal.live) this.#redraw()
  }

  /** Prints lines above the block that is redrawn. */
  above(print: () => void): void {
    this.#erase()
    print()
    this.#redraw()
  }

  /** Leaves the last state on the screen. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    if (this.#terminal.live) {
      this.#redraw()
      this.#drawn = 0
    }
  }

  #line(job: FollowedJob): string {
    const { colors } = this.#terminal
    const status = statusText(this.#terminal, job.status, job.status === 'failed' && job.allow_failure)
    const took = job.started_at !== null && job.finished_at !== null ? (job.finished_at - job.started_at) / 1000 : null
    const facts = [
      took === null ? '' : duration(took),
      job.status === 'running' && job.runner ? `on ${job.runner}` : '',
      job.status === 'failed' ? (job.failure_message ?? job.failure_reason ?? '') : '',
      job.status === 'failed' && job.allow_failure ? '(allowed to fail)' : '',
    ]
    return `${status} ${printable(job.name)} ${colors.dim(printable(facts.filter(Boolean).join(' ')))}`.trimEnd()
  }

  #redraw(): void {
    const pipeline = this.#pipeline
    if (!this.#terminal.live || !pipeline) return
    this.#erase()
    this.#frame++
    const lines = this.#block(pipeline)
    for (const line of lines) process.stderr.write(`${line}\n`)
    this.#drawn = lines.length
  }

  #erase(): void {
    if (this.#drawn > 0) process.stderr.write(`\u001b[${this.#drawn}A\u001b[J`)
    this.#drawn = 0
  }

  #block(pipeline: FollowedPipeline): string[] {
    const { colors } = this.#terminal
    const spin = colors.blue(frames[this.#frame % frames.length]!)
    const stages = [...new Set(pipeline.jobs.map((job) => job.stage))]
    const lines = [`${colors.bold(`pipeline ${pipeline.id}`)} ${statusText(this.#terminal, pipeline.status)}`]
    for (const stage of stages) {
      const jobs = pipeline.jobs.filter((job) => job.stage === stage)
      lines.push(`  ${colors.dim(stage)}`)
      const shown = jobs.length <= jobsShown ? jobs : jobs.filter((job) => ['running', 'failed'].includes(job.status))
      for (const job of shown.slice(0, jobsShown)) {
        const running = job.status === 'running' && job.started_at !== null
        const since = running ? colors.dim(duration((Date.now() - job.started_at!) / 1000)) : ''
        lines.push(`    ${running ? spin : ' '} ${this.#line(job)} ${since}`.trimEnd())
      }
      if (shown.length < jobs.length) lines.push(`      ${colors.dim(countsOf(jobs))}`)
    }
    return lines.map((line) => cutTo(line, this.#terminal.columns))
  }
}

function countsOf(jobs: FollowedJob[]): string {
  const counts = new Map<string, number>()
  for (const job of jobs) counts.set(job.status, (counts.get(job.status) ?? 0) + 1)
  return [...counts].map(([status, count]) => `${count} ${status}`).join(', ')
}

/** Cuts a line with colours to the width of the terminal, so that a redraw erases as many lines as it drew. */
function cutTo(line: string, columns: number): string {
  let width = 0
  let out = ''
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b')) {
      out += part
      continue
    }
    const room = Math.max(0, columns - 1 - width)
    out += part.slice(0, room)
    width += Math.min(part.length, room)
  }
  return out
}
