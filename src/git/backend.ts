/**
 * One run of `git http-backend` (https://git-scm.com/docs/git-http-backend), which speaks CGI (RFC 3875): the request in
 * its environment and on stdin, header lines and the body of the answer on stdout. It starts `git upload-pack` or
 * `receive-pack`, and those start more; all are one process group, which ends when the signal says so.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import type { Log } from '../core/log.js'
import { Refusal } from './refusal.js'

export interface BackendRun {
  /** Path of `git-http-backend`. */
  file: string
  env: NodeJS.ProcessEnv
  body: Buffer | AsyncIterable<Buffer> | undefined
  res: ServerResponse
  /** Aborted when the client is gone, or nobody wants to wait any longer. */
  signal: AbortSignal
  /** Told whenever bytes have moved. */
  onProgress: () => void
  /** Sees the body of an answer with status 200; what it gives is sent in its place. */
  filter?: OutputFilter
  log: Log
}

export interface OutputFilter {
  through(chunk: Buffer): Buffer
  /** Git has ended, well or not. Returns what is still to be sent. */
  end(): Promise<Buffer>
}

/**
 * Resolves when the answer is sent and every process has ended. Throws what the body threw, a refusal (500) when git said
 * nothing, or the signal's reason; the answer has begun if `res.headersSent`.
 */
export async function runBackend(run: BackendRun): Promise<void> {
  const { res, signal, filter } = run
  signal.throwIfAborted()
  const child = spawn(run.file, [], { env: run.env, stdio: 'pipe', detached: true })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  let failure: unknown
  child.once('error', (error) => {
    failure ??= error
  })
  const stopKilling = killOnAbort(child, signal)
  const stderr = tailOf(child)
  // Not awaited: a client may never send what git did not wait for. A body that fails ends git.
  feed(child, run, ended).catch((error: unknown) => {
    failure ??= error
    endGroup(child, 'SIGTERM')
  })
  const answer = new Answer(run)
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) await answer.take(chunk)
  } catch (error) {
    failure ??= error
    endGroup(child, 'SIGTERM')
  }
  const code = await ended
  stopKilling()
  // Of a group that was asked to end, one may not have listened.
  if (failure !== undefined || signal.aborted) endGroup(child, 'SIGKILL')
  const rest = await filter?.end()
  if (signal.aborted) throw signal.reason
  if (failure !== undefined) throw failure
  if (code !== 0) run.log.info({ code, stderr: stderr() }, 'git has refused a request')
  if (!answer.complete) throw new Refusal(500, 'git has failed')
  answer.end(rest)
  if (!res.writableFinished) await once(res, 'finish', { signal })
}

/** The answer of a CGI script on its way into an HTTP response. */
class Answer {
  readonly #run: BackendRun
  #head: Buffer = Buffer.alloc(0)
  #status: number | undefined

  constructor(run: BackendRun) {
    this.#run = run
  }

  /** Whether the header lines have come. */
  get complete(): boolean {
    return this.#status !== undefined
  }

  async take(chunk: Buffer): Promise<void> {
    const { res, signal, filter, onProgress } = this.#run
    onProgress()
    const body = this.#status === undefined ? this.#takeHead(chunk) : chunk
    const bytes = filter && this.#status === 200 ? filter.through(body) : body
    // Nothing is said before the first byte of the body: until then a request that turns out bad can be refused.
    if (bytes.length === 0) return
    if (!res.write(bytes)) await once(res, 'drain', { signal })
    onProgress()
  }

  end(rest: Buffer | undefined): void {
    this.#run.res.end(rest)
  }

  #takeHead(chunk: Buffer): Buffer {
    this.#head = Buffer.concat([this.#head, chunk])
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) {
      if (this.#head.length > longestHeadBytes) throw new Error('git http-backend sends no header lines')
      return Buffer.alloc(0)
    }
    const { res } = this.#run
    this.#status = 200
    for (const line of this.#head.toString('latin1', 0, end).split('\r\n')) {
      const colon = line.indexOf(':')
      const [name, value] = [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      if (name === 'status') this.#status = Number.parseInt(value, 10)
      else if (passedOn.has(name)) res.setHeader(name, value)
    }
    res.statusCode = this.#status
    return this.#head.subarray(end + 4)
  }
}

const passedOn = new Set(['content-type', 'cache-control', 'expires', 'pragma'])
const longestHeadBytes = 16 * 1024
const keptErrorBytes = 2048

async function feed(
  { stdin }: ChildProcessWithoutNullStreams,
  { body, signal, onProgress }: BackendRun,
  ended: Promise<unknown>,
): Promise<void> {
  // What git does not want to read any more is its own affair.
  stdin.on('error', () => undefined)
  if (body === undefined || Buffer.isBuffer(body)) {
    stdin.end(body)
    return
  }
  for await (const chunk of body) {
    onProgress()
    if (!writable(stdin)) return
    if (!stdin.write(chunk)) await Promise.race([once(stdin, 'drain', { signal }).catch(() => undefined), ended])
  }
  stdin.end()
}

function writable(stream: Writable): boolean {
  return stream.writable && !stream.destroyed
}

/** A git that is asked to end removes its half-written files; one that does not listen is made to. */
const graceMs = 2000

/** Returns what takes the watch off again. */
function killOnAbort(child: ChildProcessWithoutNullStreams, signal: AbortSignal): () => void {
  let force: NodeJS.Timeout | undefined
  const stop = () => {
    endGroup(child, 'SIGTERM')
    force = setTimeout(() => endGroup(child, 'SIGKILL'), graceMs)
  }
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  return () => {
    signal.removeEventListener('abort', stop)
    clearTimeout(force)
  }
}

function endGroup({ pid }: ChildProcessWithoutNullStreams, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // Gone already.
  }
}

function tailOf({ stderr }: ChildProcessWithoutNullStreams): () => string {
  let text = ''
  stderr.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('utf8')).slice(-keptErrorBytes)
  })
  return () => text.trimEnd()
}
