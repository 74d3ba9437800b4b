/**
 * The bytes of traces: one file a job, appended. How many of them count is a row of `traces`; a byte is acknowledged when
 * it is on disk and its length is committed, in this order:
 *
 *   accept (memory) → one joined write and fdatasync, one outstanding a job, eight a node
 *                   → one transaction for all jobs that got so far in this turn, conditional on each lease → acknowledge
 *
 * A session (`trace-session.ts`) is the writer of one lease. On PostgreSQL, where other nodes go on with a log and read it,
 * bytes are rows instead, committed in one transaction with the length that counts them.
 */
import { createReadStream } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { asFault } from '../as-fault.js'
import { isUncertain, SignalboxError } from '../errors.js'
import { type Disk, type DiskFile, systemDisk } from './disk.js'
import { Folders } from './folders.js'
import { type TraceProgress, TraceSession } from './trace-session.js'

export type { TraceProgress, TraceSession } from './trace-session.js'

/** Where bytes are kept in the store, for all nodes to read. */
export interface SharedTraces {
  /** Undefined: nothing of the log is there. */
  read(jobId: number, from: number, to: number): Promise<Buffer | undefined>
  remove(jobId: number): Promise<void>
}

/** Where the files are, and how their lengths are committed. */
export interface TraceFilesOptions {
  folder: string
  /**
   * Commits new lengths in one transaction, each on condition that its lease is open. Returns for each whether it was, or the
   * length that another node has given the log meanwhile. Rejects if the transaction failed; then nothing was committed,
   * unless the error is uncertain.
   */
  commit: (progress: TraceProgress[]) => Promise<(boolean | number)[]>
  /** Bytes are kept in the store, and files are those of an earlier version; absent: in files of this node. */
  shared?: SharedTraces
  /** A failed write or sync: the disk can no longer be trusted, and the process must end. */
  fatal: (error: unknown) => void
  /** Where an archived log is read; undefined: it is not archived. */
  archived?: (jobId: number) => Promise<((from: number, to: number) => Promise<Buffer>) | undefined>
  /** Syncs what is written before it counts (default true); off for logs that live for one command. */
  durable?: boolean
  disk?: Disk
}

const atOnce = 8
const pieceBytes = 256 * 1024
/** Sessions of logs that other nodes may go on with are kept up to this number. */
const mostShared = 5000

/** The log files of this node, and who waits for more of one. */
export class TraceFiles {
  readonly #options: TraceFilesOptions
  readonly #sessions = new Map<string, TraceSession>()
  readonly #watchers = new Map<number, Set<(length: number) => void>>()
  readonly #disk: Disk
  readonly #folders: Folders
  #active = 0
  #waiting: (() => void)[] = []
  #synced: TraceSession[] = []
  /** Jobs whose last commit may have been made or not: what counts is in the row. */
  readonly #uncertain = new Set<number>()

  constructor(options: TraceFilesOptions) {
    this.#options = options
    this.#disk = options.disk ?? systemDisk
    this.#folders = new Folders(this.#disk, options.durable ?? true)
  }

  get sessions(): number {
    return this.#sessions.size
  }

  /** The open session of a lease, if there is one. */
  session(jobId: number, fence: number): TraceSession | undefined {
    return this.#sessions.get(`${jobId}.${fence}`)
  }

  /** Whether a commit may still be under way, so that only who waits for the row sees what counts. */
  isUncertain(jobId: number): boolean {
    return this.#uncertain.has(jobId)
  }

  /** Whether other nodes write and read the same logs. */
  get shared(): boolean {
    return this.#options.shared !== undefined
  }

  /** Opens the session of a lease, which the caller has checked. `secrets` are masked. */
  openSession(start: TraceProgress, managerId: number, secrets: readonly Buffer[]): TraceSession {
    const key = `${start.jobId}.${start.fence}`
    const known = this.#sessions.get(key)
    if (known) return known
    const session = new TraceSession(this.fileOf(start.jobId), start, managerId, secrets, {
      enter: () => this.#enter(),
      leave: () => this.#leave(),
      disk: this.#disk,
      folders: this.#folders,
      synced: (one) => this.#commitSoon(one),
      fatal: this.#options.fatal,
      durable: this.#options.durable ?? true,
      ...(this.shared ? { read: (from: number, to: number) => this.#stored(start.jobId, from, to) } : {}),
    })
    if (this.shared && this.#sessions.size >= mostShared) this.#closeIdle()
    this.#sessions.set(key, session)
    this.#uncertain.delete(start.jobId)
    return session
  }

  /** Runners may go on at another node without a word: what was not used for long can be opened again. */
  #closeIdle(): void {
    for (const [key, session] of this.#sessions) {
      if (session.accepted > session.committed.length) continue
      this.#sessions.delete(key)
      session.close(new SignalboxError('unavailable', 'the trace is written elsewhere')).catch(asFault)
      return
    }
  }

  /** Ends the session of a lease: waits for what is under way and closes the file. */
  async closeSession(jobId: number, fence: number): Promise<void> {
    const key = `${jobId}.${fence}`
    const session = this.#sessions.get(key)
    if (!session) return
    this.#sessions.delete(key)
    await session.close()
  }

  /** Deletes a job's log, after the session of its last lease has been closed. */
  async remove(jobId: number, fence: number): Promise<void> {
    await this.closeSession(jobId, fence)
    await this.#options.shared?.remove(jobId)
    await this.#disk.rm(this.fileOf(jobId), { force: true })
  }

  /** Bytes `from` to `to` of a job's log; the caller knows the committed length. */
  async read(jobId: number, from: number, to: number): Promise<Buffer> {
    if (to <= from) return Buffer.alloc(0)
    const shared = await this.#options.shared?.read(jobId, from, to)
    if (shared) return shared
    let file: DiskFile
    try {
      file = await this.#disk.open(this.fileOf(jobId), 'r')
    } catch (error) {
      const archived = await this.#options.archived?.(jobId)
      if (!archived) throw error
      return archived(from, to)
    }
    return this.#readFile(file, from, to)
  }

  /** All of a log, as a stream. */
  stream(jobId: number, length: number): Readable {
    if (!this.shared) return createReadStream(this.fileOf(jobId), { end: length - 1 })
    return Readable.from(this.#pieces(jobId, length))
  }

  async *#pieces(jobId: number, length: number): AsyncGenerator<Buffer> {
    for (let at = 0; at < length; ) {
      const piece = await this.read(jobId, at, Math.min(length, at + pieceBytes))
      if (piece.length === 0) return
      at += piece.length
      yield piece
    }
  }

  /** What another session has written: in the store, or in the file of a version that kept it there. */
  async #stored(jobId: number, from: number, to: number): Promise<{ bytes: Buffer; inFile: boolean }> {
    const shared = await this.#options.shared?.read(jobId, from, to)
    if (shared) return { bytes: shared, inFile: false }
    const file = await this.#disk.open(this.fileOf(jobId), 'r')
    return { bytes: await this.#readFile(file, from, to), inFile: true }
  }

  async #readFile(file: DiskFile, from: number, to: number): Promise<Buffer> {
    try {
      const buffer = Buffer.allocUnsafe(to - from)
      let filled = 0
      while (filled < buffer.length) {
        const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, from + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return buffer.subarray(0, filled)
    } finally {
      await file.close()
    }
  }

  /** Calls `fn` with the new length whenever more of the job's log is committed, until the returned function is called. */
  watch(jobId: number, fn: (length: number) => void): () => void {
    const watchers = this.#watchers.get(jobId) ?? new Set()
    this.#watchers.set(jobId, watchers.add(fn))
    return () => {
      watchers.delete(fn)
      if (watchers.size === 0) this.#watchers.delete(jobId)
    }
  }

  /** The jobs whose logs somebody follows. */
  get watched(): number[] {
    return [...this.#watchers.keys()]
  }

  /** Tells those who follow a log that it has this length. */
  tell(jobId: number, length: number): void {
    for (const fn of this.#watchers.get(jobId) ?? []) fn(length)
  }

  isWatched(jobId: number): boolean {
    return this.#watchers.has(jobId)
  }

  /** A folder for each thousand jobs. */
  fileOf(jobId: number): string {
    return path.join(this.#options.folder, String(Math.floor(jobId / 1000)), `${jobId}.log`)
  }

  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()]
    this.#sessions.clear()
    await Promise.all(sessions.map((session) => session.close()))
  }

  #enter(): Promise<void> {
    if (this.#active < atOnce) {
      this.#active++
      return Promise.resolve()
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#active--
  }

  /** Sessions whose bytes reached the disk in the same turn share a transaction. */
  #commitSoon(session: TraceSession): void {
    this.#synced.push(session)
    if (this.#synced.length === 1)
      setImmediate(() => {
        this.#commit().catch(asFault)
      })
  }

  async #commit(): Promise<void> {
    const sessions = this.#synced
    this.#synced = []
    try {
      const open = await this.#options.commit(sessions.map((session) => session.written))
      for (const [i, session] of sessions.entries()) {
        const length = open[i]
        if (typeof length === 'number') {
          session.settle(new SignalboxError('range_mismatch', `the log has ${length} bytes`, { details: { length } }))
          this.#distrust(session)
          continue
        }
        session.settle(open[i] ? undefined : new SignalboxError('fenced', 'the lease is over'))
        if (open[i]) this.tell(session.committed.jobId, session.committed.length)
      }
    } catch (error) {
      for (const session of sessions) {
        session.settle(error)
        if (isUncertain(error)) this.#distrust(session)
      }
    }
  }

  /** The session may be behind its row: the next append starts another one from there. */
  #distrust(session: TraceSession): void {
    const { jobId, fence } = session.committed
    this.#uncertain.add(jobId)
    this.#sessions.delete(`${jobId}.${fence}`)
    const refusal = new SignalboxError('unavailable', 'the trace could not be committed')
    session.close(refusal).catch((error) => this.#options.fatal(error))
  }
}
