/**
 * The bytes of traces: one file a job, appended. How many of them count is a row of `traces`; a byte is acknowledged when
 * it is on disk and its length is committed, in this order:
 *
 *   accept (memory) → one joined write and fdatasync, one outstanding a job, eight a node
 *                   → one transaction for all jobs that got so far in this turn, conditional on each lease → acknowledge
 *
 * A session is the writer of one lease. It starts from the committed length and cuts off what lies beyond in the file:
 * nobody was told of that. Offsets and the CRC-32 count received bytes; masking keeps the length, and since it looks
 * again at the end of what was written before, a secret that came in two parts is covered in place.
 */
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { asFault } from '../as-fault.js'
import { isUncertain, SignalboxError } from '../errors.js'
import { type Disk, type DiskFile, systemDisk } from './disk.js'
import { Folders, openCut } from './folders.js'

/** How far a log has come on the disk, to be committed. */
export interface TraceProgress {
  jobId: number
  fence: number
  /** Committed length in bytes. */
  length: number
  crc32: number
}

/** Where the files are, and how their lengths are committed. */
export interface TraceFilesOptions {
  folder: string
  /**
   * Commits new lengths in one transaction, each on condition that its lease is open. Returns for each whether it was.
   * Rejects if the transaction failed; then nothing was committed, unless the error is uncertain.
   */
  commit: (progress: TraceProgress[]) => Promise<boolean[]>
  /** A failed write or sync: the disk can no longer be trusted, and the process must end. */
  fatal: (error: unknown) => void
  /** Where an archived log is read; undefined: it is not archived. */
  archived?: (jobId: number) => Promise<((from: number, to: number) => Promise<Buffer>) | undefined>
  /** Syncs what is written before it counts (default true); off for logs that live for one command. */
  durable?: boolean
  disk?: Disk
}

const atOnce = 8

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
    })
    this.#sessions.set(key, session)
    this.#uncertain.delete(start.jobId)
    return session
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
    await this.#disk.rm(this.fileOf(jobId), { force: true })
  }

  /** Bytes `from` to `to` of a job's log; the caller knows the committed length. */
  async read(jobId: number, from: number, to: number): Promise<Buffer> {
    if (to <= from) return Buffer.alloc(0)
    let file: DiskFile
    try {
      file = await this.#disk.open(this.fileOf(jobId), 'r')
    } catch (error) {
      const archived = await this.#options.archived?.(jobId)
      if (!archived) throw error
      return archived(from, to)
    }
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
        session.settle(open[i] ? undefined : new SignalboxError('fenced', 'the lease is over'))
        if (open[i]) for (const fn of this.#watchers.get(session.committed.jobId) ?? []) fn(session.committed.length)
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

interface SessionHost {
  enter(): Promise<void>
  leave(): void
  readonly disk: Disk
  readonly folders: Folders
  synced(session: TraceSession): void
  fatal(error: unknown): void
  readonly durable: boolean
}

interface Chunk {
  data: Buffer
  resolve: (length: number) => void
  reject: (error: unknown) => void
}

/** The one writer of a job's log under one lease. */
export class TraceSession {
  /** What has been committed and acknowledged. */
  committed: TraceProgress
  /** What is on disk and about to be committed. */
  written: TraceProgress
  readonly #path: string
  readonly #host: SessionHost
  readonly #secrets: readonly Buffer[]
  readonly #tailLength: number
  /** The last bytes written and the last bytes committed, as received: where a secret may have begun. */
  #tail: Buffer = Buffer.alloc(0)
  #committedTail: Buffer = Buffer.alloc(0)
  #accepted: number
  #queue: Chunk[] = []
  #flying: Chunk[] = []
  #file: DiskFile | undefined
  #idle: (() => void)[] = []
  /** What an append is refused with once the session is over. */
  #closed: SignalboxError | undefined

  constructor(
    file: string,
    start: TraceProgress,
    /** Whose lease it is. */
    readonly managerId: number,
    secrets: readonly Buffer[],
    host: SessionHost,
  ) {
    this.#path = file
    this.#host = host
    this.#secrets = secrets.filter((secret) => secret.length > 0)
    this.#tailLength = Math.max(0, ...this.#secrets.map((secret) => secret.length - 1))
    this.committed = start
    this.written = start
    this.#accepted = start.length
  }

  /** Where the next byte goes: the committed length and what is under way. */
  get accepted(): number {
    return this.#accepted
  }

  /**
   * How much of the committed log may be shown now: not its end where that could be the beginning of a secret, whose
   * rest would cover it.
   */
  get visible(): number {
    let hidden = 0
    for (const secret of this.#secrets) {
      const most = Math.min(secret.length - 1, this.#committedTail.length)
      for (let length = most; length > hidden; length--) {
        const end = this.#committedTail.subarray(this.#committedTail.length - length)
        if (secret.subarray(0, length).equals(end)) hidden = length
      }
    }
    return this.committed.length - hidden
  }

  /** Appends bytes at `accepted`. Resolves with the committed length when they are durable; rejects if they are not. */
  append(data: Buffer): Promise<number> {
    if (this.#closed) return Promise.reject(this.#closed)
    this.#accepted += data.length
    return new Promise((resolve, reject) => {
      this.#queue.push({ data, resolve, reject })
      if (this.#flying.length === 0) this.#flush().catch(asFault)
    })
  }

  /** Resolves when nothing is under way any more. */
  async drained(): Promise<void> {
    if (this.#queue.length + this.#flying.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Ends a flight: the host has committed what was written, or could not. */
  settle(error: unknown): void {
    const chunks = this.#flying
    this.#flying = []
    if (error === undefined) {
      this.committed = this.written
      this.#committedTail = this.#tail
      for (const chunk of chunks) chunk.resolve(this.committed.length)
    } else {
      // What follows was accepted on top of bytes that do not count.
      const lost = [...chunks, ...this.#queue.splice(0)]
      this.written = this.committed
      this.#accepted = this.committed.length
      this.#tail = this.#committedTail
      for (const chunk of lost) chunk.reject(error)
    }
    if (this.#queue.length > 0) this.#flush().catch(asFault)
    else for (const resolve of this.#idle.splice(0)) resolve()
  }

  async close(refusal = new SignalboxError('fenced', 'the lease is over')): Promise<void> {
    this.#closed ??= refusal
    await this.drained()
    await this.#file?.close()
    this.#file = undefined
  }

  async #flush(): Promise<void> {
    this.#flying = this.#queue
    this.#queue = []
    await this.#host.enter()
    try {
      const data = this.#flying.length === 1 ? this.#flying[0]!.data : Buffer.concat(this.#flying.map((c) => c.data))
      const { durable } = this.#host
      const isNew = !this.#file && this.committed.length === 0
      this.#file ??= await this.#open()
      const { bytes, at } = this.#masked(data)
      await writeAll(this.#file, bytes, at)
      if (durable)
        await Promise.all([this.#file.datasync(), isNew && this.#host.folders.sync(path.dirname(this.#path))])
      this.written = {
        ...this.committed,
        length: this.committed.length + data.length,
        crc32: crc32(data, this.committed.crc32),
      }
      this.#host.leave()
    } catch (error) {
      this.#host.leave()
      const code = (error as NodeJS.ErrnoException).code
      if (code !== 'ENOSPC' && code !== 'EDQUOT') this.#host.fatal(error)
      await this.#file?.close().catch(() => undefined)
      this.#file = undefined
      this.settle(new SignalboxError('unavailable', 'the trace could not be written', { cause: error }))
      return
    }
    this.#host.synced(this)
  }

  /** The end of what another session has written is read: a secret may have begun there. */
  async #open(): Promise<DiskFile> {
    const { length } = this.committed
    const file = await openCut(this.#path, length, this.#host)
    const wanted = this.#tail.length > 0 ? 0 : Math.min(length, this.#tailLength)
    if (wanted === 0) return file
    const end = Buffer.alloc(wanted)
    try {
      const { bytesRead } = await file.read(end, 0, wanted, length - wanted)
      this.#tail = end.subarray(0, bytesRead)
      this.#committedTail = this.#tail
      return file
    } catch (error) {
      await file.close().catch(() => undefined)
      throw error
    }
  }

  /** What to write, and where: with the end of what was written before if a secret reaches into it. */
  #masked(data: Buffer): { bytes: Buffer; at: number } {
    const start = this.committed.length
    if (this.#secrets.length === 0) return { bytes: data, at: start }
    const joined = Buffer.concat([this.#tail, data])
    const masked = cover(joined, this.#secrets)
    const fromTail = this.#tail.length
    this.#tail = Buffer.from(joined.subarray(Math.max(0, joined.length - this.#tailLength)))
    const reachesBack = masked.from < fromTail
    return reachesBack
      ? { bytes: masked.bytes.subarray(masked.from), at: start - fromTail + masked.from }
      : { bytes: masked.bytes.subarray(fromTail), at: start }
  }
}

/** Every secret replaced by asterisks of the same length, and where the first one began (or the end). */
function cover(bytes: Buffer, secrets: readonly Buffer[]): { bytes: Buffer; from: number } {
  let out = bytes
  let from = bytes.length
  for (const secret of secrets) {
    for (let at = bytes.indexOf(secret); at !== -1; at = bytes.indexOf(secret, at + secret.length)) {
      if (out === bytes) out = Buffer.from(bytes)
      out.fill('*', at, at + secret.length)
      from = Math.min(from, at)
    }
  }
  return { bytes: out, from }
}

async function writeAll(file: DiskFile, bytes: Buffer, at: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}
