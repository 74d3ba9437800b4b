/**
 * One process of a plugin, from outside: started with an empty environment and a folder of its own, asked by messages, and
 * watched. It is ended when it does not answer for some seconds, uses more memory than it may, or speaks without being
 * asked; whoever waits for an answer then gets an error that says so. What it writes goes to the log, within limits.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Clock } from '../core/clock.js'
import { guarded } from '../core/guarded.js'
import type { Fault, FromPlugin, Task, ToPlugin } from './messages.js'
import { oneLine } from './plain.js'
import type { PluginLogger } from './sdk.js'

export interface ProcessOptions {
  script: string
  /** Of Node itself. */
  flags: readonly string[]
  env: Record<string, string>
  folder: string
  limitBytes: number
  clock: Clock
  /** Where what it writes goes. */
  logger: () => PluginLogger | undefined
  /** Lines of `host.logger`, as a JSON text. */
  onLog: (json: string) => void
  onMetrics: (json: string) => void
  /** The process has ended: why, in one sentence. */
  onEnd: (reason: string) => void
}

/** Takes a piece of a script's output; resolves when it is where it belongs. */
export type Sink = (chunk: Uint8Array) => Promise<void>

interface Question {
  resolve: (json: string) => void
  reject: (error: Error) => void
  sink: Sink | undefined
}

const watchMs = 250
/** Pings without an answer, a second apart, after which it counts as stuck. */
const patience = 3
const pingMs = 1000
/** Messages that nobody has asked for, after which it is ended. */
const strayLimit = 100
/** A page for `/metrics` is the longest answer there is. */
const answerLength = 17 * 1024 * 1024
const logLength = 256 * 1024
const logsASecond = 1000
const questionLimit = 1000
const writtenLimit = 64 * 1024
const lastWordsMs = 250

export class PluginProcess {
  readonly #options: ProcessOptions
  readonly #child: ChildProcess
  readonly #questions = new Map<number, Question>()
  readonly #stops: (() => void)[]
  #asked = 0
  #pings = 0
  #ponged = 0
  #strays = 0
  #logs = 0
  #residentBytes = 0
  #lastWords = ''
  #ended: string | undefined
  #why: string | undefined

  constructor(options: ProcessOptions) {
    this.#options = options
    const { script, flags, env, folder, clock } = options
    this.#child = fork(script, [], {
      execArgv: [...flags],
      env,
      cwd: folder,
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Its own group: what it starts ends with it, and a Ctrl-C is for us to answer.
      detached: true,
    })
    const refuse = (error: unknown) => this.kill(`it sends what cannot be read: ${oneLine(String(error), 200)}`)
    this.#child.on(
      'message',
      guarded((message: unknown) => this.#receive(message), refuse),
    )
    this.#child.on('error', (error) => this.#end(`its process failed: ${error.message}`))
    this.#child.on('exit', (code, signal) => {
      this.#killGroup()
      // Its last words may still be on their way, or held by something that it has started.
      const end = () => this.#end(this.#causeOf(code, signal))
      this.#child.once('close', end)
      this.#stops.push(clock.after(lastWordsMs, end))
    })
    this.#stops = [clock.every(watchMs, () => this.#weigh()), clock.every(pingMs, () => this.#ping())]
    for (const stream of [this.#child.stdout, this.#child.stderr]) if (stream) this.#readWritten(stream)
    // It alone keeps nobody alive.
    this.#child.unref()
    this.#child.channel?.unref()
  }

  get pid(): number | null {
    return this.#ended === undefined ? (this.#child.pid ?? null) : null
  }

  get residentBytes(): number {
    return this.#residentBytes
  }

  /** Asks, and gives the answer as it came: a JSON text. Rejects with the fault, or when the process ends. */
  ask(task: Task, sink?: Sink): Promise<string> {
    if (this.#ended !== undefined) return Promise.reject(new Error(this.#ended))
    if (this.#questions.size >= questionLimit) this.kill(`${questionLimit} calls of it are unanswered`)
    const ask = ++this.#asked
    return new Promise((resolve, reject) => {
      this.#questions.set(ask, { resolve, reject, sink })
      this.#send({ ask, ...task })
    })
  }

  /** Ends the process and all that it has started, at once. */
  kill(reason: string): void {
    if (this.#ended !== undefined) return
    this.#why ??= reason
    this.#killGroup()
  }

  /** The process and all that it has started. */
  #killGroup(): void {
    const { pid } = this.#child
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL')
    } catch {
      this.#child.kill('SIGKILL')
    }
  }

  #send(message: ToPlugin): void {
    if (!this.#child.connected) return
    this.#child.send(message, (error) => {
      // What cannot be sent is never answered: its end is near, or it was no plain data.
      if (error && 'ask' in message) this.#settle(message.ask, (question) => question.reject(error))
    })
  }

  #receive(message: unknown): void {
    if (this.#ended !== undefined || this.#why !== undefined) return
    if (!this.#understand(message as FromPlugin) && ++this.#strays >= strayLimit) {
      this.kill(`it sends what nobody asked for: ${strayLimit} messages`)
    }
  }

  /** Takes a message for what it is. Gives false for one that has no place. */
  #understand(message: FromPlugin): boolean {
    if (typeof message !== 'object' || message === null) return false
    if ('answer' in message) {
      if ('json' in message && typeof message.json === 'string') {
        const { answer, json } = message
        if (json.length > answerLength) this.kill(`an answer of ${json.length} characters is too long`)
        return this.#settle(answer, (question) => question.resolve(json))
      }
      const error = errorOf((message as { fault?: unknown }).fault)
      return this.#settle(message.answer, (question) => question.reject(error))
    }
    if ('output' in message) return this.#take(message)
    if ('pong' in message) {
      if (typeof message.pong !== 'number' || message.pong <= this.#ponged || message.pong > this.#pings) return false
      this.#ponged = message.pong
      const { metrics } = message
      if (typeof metrics === 'string' && metrics.length <= 1024 * 1024) this.#options.onMetrics(metrics)
      return true
    }
    if ('log' in message && typeof message.log === 'string' && message.log.length <= logLength) {
      if (++this.#logs > logsASecond) return false
      this.#options.onLog(message.log)
      return true
    }
    if ('fault' in message) {
      const error = errorOf(message.fault)
      this.#why ??= `${oneLine(String((message as { what?: unknown }).what), 40)}: ${error.message}`
      return true
    }
    return false
  }

  #take({ output, piece, chunk }: Extract<FromPlugin, { output: number }>): boolean {
    const sink = this.#questions.get(output)?.sink
    if (!sink || typeof piece !== 'number' || !(chunk instanceof Uint8Array)) return false
    sink(chunk).then(
      () => this.#send({ taken: output, piece }),
      (error: unknown) => this.#send({ taken: output, piece, error: oneLine(String(error), 500) }),
    )
    return true
  }

  #settle(ask: unknown, how: (question: Question) => void): boolean {
    const question = this.#questions.get(ask as number)
    if (!question) return false
    this.#questions.delete(ask as number)
    how(question)
    return true
  }

  #ping(): void {
    this.#logs = 0
    if (this.#pings - this.#ponged >= patience) this.kill(`it has not answered for ${patience} s`)
    else this.#send({ ping: ++this.#pings })
  }

  #weigh(): void {
    const { pid } = this.#child
    const bytes = pid === undefined ? undefined : residentBytes(pid)
    if (bytes === undefined) return
    this.#residentBytes = bytes
    const { limitBytes } = this.#options
    if (bytes > limitBytes) this.kill(`it uses ${mebibytes(bytes)} MiB of memory, and may use ${mebibytes(limitBytes)}`)
  }

  /** Lines for the log. More than 64 KiB in a second are not read: it has to wait. */
  #readWritten(stream: Readable): void {
    let room = writtenLimit
    const refill = () => {
      room = writtenLimit
      stream.resume()
    }
    this.#stops.push(this.#options.clock.every(1000, refill))
    // Of a socket, which Node does not say.
    if (stream instanceof Socket) stream.unref()
    stream.on('error', () => undefined)
    const take = (chunk: Buffer) => {
      const text = chunk.toString('utf8')
      this.#lastWords = (this.#lastWords + text).slice(-4096)
      room -= chunk.byteLength
      if (room <= 0) stream.pause()
      const logger = this.#options.logger()
      for (const line of text.split('\n')) if (line.trim() !== '') logger?.info({}, line)
    }
    stream.on(
      'data',
      guarded(take, () => stream.destroy()),
    )
  }

  #causeOf(code: number | null, signal: NodeJS.Signals | null): string {
    if (this.#why !== undefined) return `its process was ended: ${this.#why}`
    if (/heap out of memory|allocation failed/i.test(this.#lastWords)) return 'its process ran out of memory'
    if (signal === null) return `it ended its process with code ${code}`
    const words = oneLine(this.#lastWords, 200)
    return `its process crashed with ${signal}${words === '' ? '' : `: ${words}`}`
  }

  #end(reason: string): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#residentBytes = 0
    for (const stop of this.#stops) stop()
    for (const ask of [...this.#questions.keys()]) this.#settle(ask, (question) => question.reject(new Error(reason)))
    this.#options.onEnd(reason)
  }
}

/** Resident memory of a process by the kernel; undefined where that cannot be read. */
function residentBytes(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * 4096
  } catch {
    return undefined
  }
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024)
}

function errorOf(fault: unknown): Error {
  const { name, message, stack } = (typeof fault === 'object' && fault !== null ? fault : {}) as Partial<Fault>
  const error = new Error(oneLine(typeof message === 'string' ? message : 'gave no reason', 500))
  if (typeof name === 'string') error.name = oneLine(name, 100)
  if (typeof stack === 'string') error.stack = stack.slice(0, 8192)
  return error
}
