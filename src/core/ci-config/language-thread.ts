/** One thread that computes for strangers, within limits of time and memory. */
import { Worker } from 'node:worker_threads'
import type { FromWorker, Task, ToWorker } from './worker.js'

/** What one computation may take before it is ended, in milliseconds and MiB. */
export interface ThreadLimits {
  /** Time of computing; waiting for answers does not count, nor for a processor that others have. */
  milliseconds: number
  /** Time by the clock, without waiting for answers: the end of patience with a machine that is too busy. */
  wallMilliseconds: number
  memoryMiB: number
}

/** The functions that a task may ask, by name. */
export type Answers = Readonly<Record<string, ((...args: never[]) => unknown) | undefined>>

/** The task's result, or why there is none: `compiling` in the sentence is what the caller says it was doing. */
export type Outcome = { ok: true; result: unknown } | { ok: false; problem: string }

interface Running {
  answers: Answers
  finish: (outcome: Outcome) => void
}

/**
 * A thread that does one task at a time, so that no file can hold up or bring down the server. It is started by the first
 * task and reused. A task that computes too long or needs too much memory ends the thread, and the next one starts
 * another.
 */
export class LanguageThread {
  readonly #limits: ThreadLimits
  readonly #script: URL
  readonly #cpu: () => number
  #worker: Worker | undefined
  #current: Running | undefined
  #clock: NodeJS.Timeout | undefined
  #startedAt = 0
  #cpuAtStart = 0
  #left = 0
  #wallLeft = 0
  #openQuestions = 0

  /** @param cpu processor time so far in ms, of which the thread's is a part: it has not had more since any moment */
  constructor(limits: ThreadLimits, script: URL, cpu: () => number = processCpu) {
    this.#limits = limits
    this.#script = script
    this.#cpu = cpu
  }

  get isIdle(): boolean {
    return this.#current === undefined
  }

  /** Does a task; never throws. Only when idle. */
  run(task: Task, answers: Answers): Promise<Outcome> {
    return new Promise((finish) => {
      this.#current = { answers, finish }
      this.#left = this.#limits.milliseconds
      this.#wallLeft = this.#limits.wallMilliseconds
      this.#openQuestions = 0
      const worker = this.#started()
      worker.ref()
      this.#startClock()
      try {
        send(worker, { kind: 'task', task })
      } catch {
        // Only data can cross: an input may hold something else.
        this.#end({ ok: false, problem: 'cannot begin: what it is given is not plain data' })
      }
    })
  }

  /** Ends the thread, and what it does with it. Safe to repeat; a later task starts a new thread. */
  async close(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    this.#end({ ok: false, problem: 'was stopped' })
    await worker?.terminate()
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const worker = new Worker(this.#script, {
      resourceLimits: { maxOldGenerationSizeMb: this.#limits.memoryMiB, stackSizeMb: 4 },
      // Nothing of the server's environment belongs beside a stranger's file.
      env: {},
      execArgv: [],
    })
    worker.on('message', (message: FromWorker) => this.#receive(worker, message))
    worker.on('error', (error) => this.#lost(worker, crashProblem(error, this.#limits)))
    worker.on('exit', () => this.#lost(worker, 'ended without a result'))
    this.#worker = worker
    return worker
  }

  #receive(worker: Worker, message: FromWorker): void {
    if (worker !== this.#worker) return
    if (message.kind === 'done') {
      worker.unref()
      this.#end({ ok: true, result: message.result })
      return
    }
    this.#openQuestions++
    this.#stopClock()
    const answer = (ok: boolean, value?: unknown): void => this.#answer(worker, message.question, ok, value)
    this.#call(message.name, message.args).then(
      (value) => answer(true, value),
      () => answer(false),
    )
  }

  async #call(name: string, args: unknown[]): Promise<unknown> {
    const call = this.#current?.answers[name] as ((...args: unknown[]) => unknown) | undefined
    return call?.(...args)
  }

  #answer(worker: Worker, question: number, ok: boolean, value: unknown): void {
    if (worker !== this.#worker) return
    this.#openQuestions--
    if (this.#openQuestions === 0) this.#startClock()
    try {
      send(worker, { kind: 'answer', question, ok, value })
    } catch {
      // Only data can cross.
      send(worker, { kind: 'answer', question, ok: false, value: undefined })
    }
  }

  #startClock(): void {
    this.#startedAt = performance.now()
    this.#cpuAtStart = this.#cpu()
    this.#clock = setTimeout(() => this.#overtime(), Math.max(shortestLook, Math.min(this.#left, this.#wallLeft)))
  }

  #stopClock(): void {
    if (this.#clock === undefined) return
    clearTimeout(this.#clock)
    this.#clock = undefined
    const passed = performance.now() - this.#startedAt
    this.#left -= Math.min(passed, this.#cpu() - this.#cpuAtStart)
    this.#wallLeft -= passed
  }

  #overtime(): void {
    const worker = this.#worker
    if (worker === undefined) return
    this.#stopClock()
    if (this.#left > 0 && this.#wallLeft > 0) {
      this.#startClock()
      return
    }
    this.#lost(worker, `takes longer than ${this.#limits.milliseconds} ms`)
    worker.terminate().catch(() => undefined)
  }

  /** The thread is gone, or as good as gone. */
  #lost(worker: Worker, problem: string): void {
    if (worker !== this.#worker) return
    this.#worker = undefined
    this.#end({ ok: false, problem })
  }

  #end(outcome: Outcome): void {
    this.#stopClock()
    const current = this.#current
    this.#current = undefined
    current?.finish(outcome)
  }
}

/** How soon the time of computing is looked at again, in ms. */
const shortestLook = 10

function processCpu(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function send(worker: Worker, message: ToWorker): void {
  worker.postMessage(message)
}

function crashProblem(error: Error, limits: ThreadLimits): string {
  const outOfMemory = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
  return outOfMemory ? `needs more than ${limits.memoryMiB} MiB of memory` : 'crashed'
}
