/**
 * Reads objects of one repository through one `git cat-file --batch`
 * (https://git-scm.com/docs/git-cat-file#_batch_output): we write `<id>\n`, it answers `<id> <type> <size>\n<bytes>\n`
 * or `<id> missing\n`, in order. Questions may be asked before earlier ones are answered.
 *
 * States: no process (`#child` undefined) → asked → a process that answers → no process, when it ends, is closed, or is
 * ended because an object was larger than the asker wanted: the questions behind that one go to a new process.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import { guarded } from '../core/guarded.js'

export interface GitObject {
  type: string
  bytes: Buffer
}

interface Question {
  id: string
  maxBytes: number
  resolve(answer: GitObject | undefined): void
  reject(error: Error): void
}

export interface ObjectReaderOptions {
  repository: string
  env: NodeJS.ProcessEnv
  clock: Clock
  /** Milliseconds after which a process that is asked and says nothing is given up. */
  answerWithinMs: number
}

const newline = 0x0a
/** The longest first line of an answer. */
const longestHeaderBytes = 256

export class ObjectReader {
  readonly #options: ObjectReaderOptions
  #child: ChildProcessWithoutNullStreams | undefined
  #ended: Promise<void> = Promise.resolve()
  #questions: Question[] = []
  /** The beginning of a header line. */
  #header: Buffer = Buffer.alloc(0)
  /** The object that is being received, with the newline behind it, and how much of it is there. */
  #body: { type: string; bytes: Buffer; filled: number } | undefined
  #stopWaiting: (() => void) | undefined

  constructor(options: ObjectReaderOptions) {
    this.#options = options
  }

  /** Whether nobody waits for an answer. */
  get idle(): boolean {
    return this.#questions.length === 0
  }

  /**
   * The object, or undefined if the repository has none of this id. Rejects with `too_large` when it is larger than
   * `maxBytes`, `unavailable` when git ends or is silent. `id` was checked: anything else would be a question of its own.
   */
  read(id: string, maxBytes: number): Promise<GitObject | undefined> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ id, maxBytes, resolve, reject })
      const child = this.#child ?? this.#start()
      child.stdin.write(`${id}\n`)
      if (this.#questions.length === 1) this.#wait()
    })
  }

  /** Ends the process; open questions are rejected. Resolves when it is gone. Safe to repeat; the next question starts anew. */
  async close(): Promise<void> {
    this.#drop()
    this.#fail(new SignalboxError('unavailable', 'the repository is being closed'))
    await this.#ended
  }

  #start(): ChildProcessWithoutNullStreams {
    const { repository, env } = this.#options
    const child = spawn('git', [`--git-dir=${repository}`, 'cat-file', '--batch'], { env, stdio: 'pipe' })
    this.#child = child
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        if (this.#child === child) {
          this.#drop()
          this.#fail(new SignalboxError('unavailable', 'git has ended unexpectedly'))
        }
        resolve()
      })
    })
    child.once('error', () => undefined)
    child.stdin.on('error', () => undefined)
    child.stderr.resume()
    const take = (chunk: Buffer) => {
      if (this.#child === child) this.#take(chunk)
    }
    child.stdout.on(
      'data',
      guarded(take, () => this.#break()),
    )
    return child
  }

  #take(chunk: Buffer): void {
    this.#wait()
    let rest: Buffer | undefined = chunk
    while (rest !== undefined && rest.length > 0) rest = this.#body ? this.#fill(rest) : this.#begin(rest)
  }

  /** Reads a header line; gives what is left, or nothing when the process was dropped. */
  #begin(chunk: Buffer): Buffer | undefined {
    const end = chunk.indexOf(newline)
    this.#header = Buffer.concat([this.#header, end < 0 ? chunk : chunk.subarray(0, end)])
    if (this.#header.length > longestHeaderBytes) return this.#break()
    if (end < 0) return undefined
    const [id, type, size] = this.#header.toString('latin1').split(' ')
    this.#header = Buffer.alloc(0)
    const question = this.#questions[0]
    if (!question || question.id !== id || type === undefined) return this.#break()
    if (size === undefined) this.#answer(undefined)
    else if (Number(size) <= question.maxBytes) {
      this.#body = { type, bytes: Buffer.allocUnsafeSlow(Number(size) + 1), filled: 0 }
    } else {
      this.#questions.shift()
      question.reject(new SignalboxError('too_large', `object ${id} has ${size} bytes, more than ${question.maxBytes}`))
      this.#startOver()
      return undefined
    }
    return chunk.subarray(end + 1)
  }

  #fill(chunk: Buffer): Buffer {
    const body = this.#body!
    const taken = chunk.copy(body.bytes, body.filled)
    body.filled += taken
    if (body.filled === body.bytes.length) {
      this.#body = undefined
      this.#answer({ type: body.type, bytes: body.bytes.subarray(0, -1) })
    }
    return chunk.subarray(taken)
  }

  #answer(answer: GitObject | undefined): void {
    this.#questions.shift()!.resolve(answer)
    if (this.idle) this.#stopWaiting?.()
  }

  #break(): undefined {
    this.#drop()
    this.#fail(new SignalboxError('unavailable', 'git has answered something else than was asked'))
  }

  #startOver(): void {
    this.#drop()
    if (this.idle) return
    const child = this.#start()
    for (const { id } of this.#questions) child.stdin.write(`${id}\n`)
    this.#wait()
  }

  #drop(): void {
    this.#stopWaiting?.()
    this.#child?.kill('SIGKILL')
    this.#child = undefined
    this.#body = undefined
    this.#header = Buffer.alloc(0)
  }

  #fail(error: Error): void {
    const questions = this.#questions
    this.#questions = []
    for (const question of questions) question.reject(error)
  }

  #wait(): void {
    this.#stopWaiting?.()
    this.#stopWaiting = this.#options.clock.after(this.#options.answerWithinMs, () => {
      this.#drop()
      this.#fail(new SignalboxError('unavailable', 'git does not answer'))
    })
  }
}
