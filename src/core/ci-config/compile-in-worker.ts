import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { compileConfig } from './compile.js'
import type { CompileOptions, CompileResult } from './plan.js'
import { type FromWorker, type FunctionName, functionNames, type PlainOptions, type ToWorker } from './worker.js'

export interface WorkerLimits {
  /** Time of computing; waiting for includes does not count. */
  milliseconds: number
  memoryMiB: number
}

const standardLimits: WorkerLimits = { milliseconds: 5_000, memoryMiB: 256 }

interface Compilation {
  source: string
  options: CompileOptions
  finish: (result: CompileResult) => void
}

/**
 * Compiles in a thread of its own, so that no file can hold up or bring down the server. The thread is started by the
 * first compilation and reused; compilations take turns. One that computes too long or needs too much memory ends the
 * thread, and the next one starts another.
 */
export class CompileWorker {
  readonly #limits: WorkerLimits
  readonly #script: URL
  readonly #queue: Compilation[] = []
  #worker: Worker | undefined
  #current: Compilation | undefined
  #clock: NodeJS.Timeout | undefined
  #startedAt = 0
  #left = 0
  #openQuestions = 0

  constructor(limits: Partial<WorkerLimits> = {}, script = new URL('./worker.js', import.meta.url)) {
    this.#limits = { ...standardLimits, ...limits }
    this.#script = script
  }

  /** Like `compileConfig`. Exceeding a limit or crashing is told as an error in the file; this never throws. */
  compile(source: string, options: CompileOptions): Promise<CompileResult> {
    return new Promise((resolve) => {
      this.#queue.push({ source, options, finish: resolve })
      this.#next()
    })
  }

  /** Ends the thread; what is unfinished is refused. Safe to repeat; a later compilation starts a new thread. */
  async close(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    this.#end(failure('compiling was stopped'))
    for (const waiting of this.#queue.splice(0)) waiting.finish(failure('compiling was stopped'))
    await worker?.terminate()
  }

  #next(): void {
    if (this.#current !== undefined) return
    const next = this.#queue.shift()
    if (next === undefined) return
    this.#current = next
    this.#left = this.#limits.milliseconds
    this.#openQuestions = 0
    const worker = this.#started()
    worker.ref()
    this.#startClock()
    try {
      send(worker, { kind: 'compile', source: next.source, options: plainOptions(next.options) })
    } catch {
      // Only data can cross: an input may hold something else.
      this.#end(failure('the options of the compilation are not plain data'))
      this.#next()
    }
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
    worker.on('error', (error) => this.#lost(worker, crashMessage(error, this.#limits)))
    worker.on('exit', () => this.#lost(worker, 'compiling ended without a result'))
    this.#worker = worker
    return worker
  }

  #receive(worker: Worker, message: FromWorker): void {
    if (worker !== this.#worker) return
    if (message.kind === 'done') {
      worker.unref()
      this.#end(message.result)
      this.#next()
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

  async #call(name: FunctionName, args: unknown[]): Promise<unknown> {
    const call = this.#current?.options[name] as ((...args: unknown[]) => Promise<unknown>) | undefined
    return call?.(...args)
  }

  #answer(worker: Worker, question: number, ok: boolean, value: unknown): void {
    if (worker !== this.#worker) return
    this.#openQuestions--
    if (this.#openQuestions === 0) this.#startClock()
    send(worker, { kind: 'answer', question, ok, value })
  }

  #startClock(): void {
    this.#startedAt = performance.now()
    this.#clock = setTimeout(() => this.#overtime(), this.#left)
  }

  #stopClock(): void {
    if (this.#clock === undefined) return
    clearTimeout(this.#clock)
    this.#clock = undefined
    this.#left -= performance.now() - this.#startedAt
  }

  #overtime(): void {
    const worker = this.#worker
    if (worker === undefined) return
    this.#lost(worker, `compiling takes longer than ${this.#limits.milliseconds} ms`)
    void worker.terminate()
  }

  /** The thread is gone, or as good as gone. */
  #lost(worker: Worker, message: string): void {
    if (worker !== this.#worker) return
    this.#worker = undefined
    this.#end(failure(message))
    this.#next()
  }

  #end(result: CompileResult): void {
    this.#stopClock()
    const current = this.#current
    this.#current = undefined
    current?.finish(result)
  }
}

let shared: CompileWorker | undefined

/**
 * `compileConfig` in the one worker of this process: for a server, which must survive any file. A command that compiles
 * its user's own file calls `compileConfig` and saves the start of a thread. Run from TypeScript sources there is no
 * worker script, and the file is compiled in this thread.
 */
export function compileInWorker(source: string, options: CompileOptions): Promise<CompileResult> {
  if (!existsSync(new URL('./worker.js', import.meta.url))) return compileConfig(source, options)
  shared ??= new CompileWorker()
  return shared.compile(source, options)
}

/** Ends the worker of this process, if one was started. */
export async function closeCompileWorker(): Promise<void> {
  await shared?.close()
}

function plainOptions(options: CompileOptions): PlainOptions {
  const data = Object.entries(options).filter(([, value]) => typeof value !== 'function')
  const functions = functionNames.filter((name) => options[name] !== undefined)
  return { ...Object.fromEntries(data), functions }
}

function send(worker: Worker, message: ToWorker): void {
  worker.postMessage(message)
}

function failure(message: string): CompileResult {
  return { ok: false, errors: [{ message, path: '', line: 1, column: 1 }], warnings: [] }
}

function crashMessage(error: Error, limits: WorkerLimits): string {
  const outOfMemory = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
  return outOfMemory ? `compiling needs more than ${limits.memoryMiB} MiB of memory` : 'compiling crashed'
}
