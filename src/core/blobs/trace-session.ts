/**
 * The writer of one job's log under one lease. It starts from the committed length and cuts off what lies beyond in the
 * file: nobody was told of that. Offsets and the CRC-32 count received bytes; masking keeps the length, and since it looks
 * again at the end of what was written before, a secret that came in two parts is covered in place.
 */
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { asFault } from '../as-fault.js'
import { SignalboxError } from '../errors.js'
import type { TraceAddition } from '../store/trace-pieces.js'
import type { Disk, DiskFile } from './disk.js'
import { type Folders, openCut } from './folders.js'

/** How far a log has come on the disk, to be committed. */
export interface TraceProgress {
  jobId: number
  fence: number
  /** Committed length in bytes. */
  length: number
  crc32: number
  /** Where bytes are kept with their length: what is new behind the first `from` bytes. */
  added?: TraceAddition
}

/** What sessions share of their node. */
export interface SessionHost {
  enter(): Promise<void>
  leave(): void
  readonly disk: Disk
  readonly folders: Folders
  synced(session: TraceSession): void
  fatal(error: unknown): void
  readonly durable: boolean
  /** Bytes are kept in the store: what is there already. Absent: in files. */
  readonly read?: (from: number, to: number) => Promise<{ bytes: Buffer; inFile: boolean }>
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
  /** The end of what is in the store is known. */
  #isOpen = false
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
    return this.committed.length - this.#hiddenIn(this.#committedTail)
  }

  #hiddenIn(tail: Buffer): number {
    let hidden = 0
    for (const secret of this.#secrets) {
      const most = Math.min(secret.length - 1, tail.length)
      for (let length = most; length > hidden; length--) {
        const end = tail.subarray(tail.length - length)
        if (secret.subarray(0, length).equals(end)) hidden = length
      }
    }
    return hidden
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
      const grown = {
        jobId: this.committed.jobId,
        fence: this.committed.fence,
        length: this.committed.length + data.length,
        crc32: crc32(data, this.committed.crc32),
      }
      if (this.#host.read) {
        this.written = { ...grown, added: await this.#piecesOf(data, this.#host.read) }
        this.#host.leave()
        this.#host.synced(this)
        return
      }
      const { durable } = this.#host
      const isNew = !this.#file && this.committed.length === 0
      this.#file ??= await this.#open()
      const { bytes, at } = this.#masked(data)
      await writeAll(this.#file, bytes, at)
      if (durable)
        await Promise.all([this.#file.datasync(), isNew && this.#host.folders.sync(path.dirname(this.#path))])
      this.written = grown
      this.#host.leave()
    } catch (error) {
      this.#host.leave()
      const code = (error as NodeJS.ErrnoException).code
      // The store says itself when it cannot be trusted.
      if (!this.#host.read && code !== 'ENOSPC' && code !== 'EDQUOT') this.#host.fatal(error)
      await this.#file?.close().catch(() => undefined)
      this.#file = undefined
      this.settle(new SignalboxError('unavailable', 'the trace could not be written', { cause: error }))
      return
    }
    this.#host.synced(this)
  }

  /** What to write into the store. A log that an earlier version has begun in a file is taken over with it. */
  async #piecesOf(data: Buffer, read: NonNullable<SessionHost['read']>): Promise<TraceAddition> {
    const { length } = this.committed
    let before: Buffer = Buffer.alloc(0)
    if (!this.#isOpen && length > 0) {
      const end = await read(Math.max(0, length - Math.max(1, this.#tailLength)), length)
      if (end.inFile) before = (await read(0, length)).bytes
      if (this.#tailLength > 0) {
        this.#tail = end.bytes
        this.#committedTail = end.bytes
      }
    }
    this.#isOpen = true
    const { bytes, at } = this.#masked(data)
    const piece = { bytes, at, hidden: this.#hiddenIn(this.#tail) }
    return { from: length, piece, ...(before.length === 0 ? {} : { before }) }
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
