/** What survives on disk until the coordinator has it. */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import type { JobReport } from './job/report.js'

/**
 * What a job leaves on disk until the coordinator has taken it: the payload, every byte of the log, the final report.
 * One folder a lease, `<job>-<fence>/`:
 *
 *   lease.json     who this is: ids, session, whose token
 *   payload.json   the job as it was offered (holds secrets: 0600 in a 0700 folder)
 *   log            the log, append only, whole until the job is acknowledged
 *   report.json    the final report; its presence means that the job has ended
 *
 * The calls are synchronous: they meet the page cache only, keep the order of the log without a queue, and a byte that
 * has been appended survives the death of this process. Nothing is synced to the platter: a host that loses power has
 * lost the job's processes as well.
 */
export class Spool {
  readonly key: string
  #fd: number
  #length: number
  #crc: number
  #acked = 0
  #report: JobReport | undefined
  #closed = false
  readonly #waiting: (() => void)[] = []
  readonly #onAppend: (() => void)[] = []
  readonly #onReport: (() => void)[] = []

  private constructor(
    readonly folder: string,
    readonly lease: SpooledLease,
    private readonly capBytes: number,
  ) {
    this.key = leaseKey(lease)
    const { O_RDWR, O_CREAT } = fs.constants
    this.#fd = fs.openSync(path.join(folder, 'log'), O_RDWR | O_CREAT, 0o600)
    const known = summarize(this.#fd)
    this.#length = known.length
    this.#crc = known.crc
    this.#report = readReport(folder)
  }

  /** Makes the folder of a new lease. An older one of the same name holds nothing that anybody would take. */
  static create(
    root: string,
    lease: Omit<SpooledLease, 'session'>,
    payload: Uint8Array,
    capBytes = defaultCapBytes,
  ): Spool {
    const folder = path.join(root, leaseKey(lease))
    fs.rmSync(folder, { recursive: true, force: true })
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
    const session = `${lease.jobId}-${lease.fence}-${randomBytes(6).toString('hex')}`
    fs.writeFileSync(path.join(folder, 'payload.json'), payload, { mode: 0o600 })
    writeJson(path.join(folder, 'lease.json'), { ...lease, session })
    return new Spool(folder, { ...lease, session }, capBytes)
  }

  /**
   * Opens what an earlier process left behind.
   * @returns nothing if the folder is not whole; such a lease was never accepted.
   */
  static restore(folder: string, capBytes = defaultCapBytes): Spool | undefined {
    const lease = readJson(path.join(folder, 'lease.json'))
    if (!isSpooledLease(lease)) return undefined
    return new Spool(folder, lease, capBytes)
  }

  /** Bytes appended so far. */
  get length(): number {
    return this.#length
  }

  /** CRC-32 (IEEE 802.3) of all bytes appended so far. */
  get crc(): number {
    return this.#crc
  }

  get acked(): number {
    return this.#acked
  }

  get report(): JobReport | undefined {
    return this.#report
  }

  get full(): boolean {
    return this.#length - this.#acked >= this.capBytes
  }

  readPayload(): Buffer {
    return fs.readFileSync(path.join(this.folder, 'payload.json'))
  }

  /** Appends whatever the cap says. Throws what the file system throws. */
  append(bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return
    // At its place, so that what a full disk has cut off is written over by what comes next.
    for (let done = 0; done < bytes.length; ) {
      done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, this.#length + done)
    }
    this.#length += bytes.length
    this.#crc = crc32(bytes, this.#crc)
    for (const listener of this.#onAppend) listener()
  }

  /** Resolves once there is room below the cap: how a job's output is made to wait. */
  room(): Promise<void> {
    if (!this.full || this.#closed) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** At most `max` bytes of the log from `offset` on. */
  read(offset: number, max: number): Buffer {
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(max, this.#length - offset)))
    let done = 0
    while (done < buffer.length) {
      const read = fs.readSync(this.#fd, buffer, done, buffer.length - done, offset + done)
      if (read === 0) throw new Error(`the spooled log of ${this.key} is shorter than what was written to it`)
      done += read
    }
    return buffer
  }

  /** Everything below `offset` is durable at the coordinator. */
  ack(offset: number): void {
    this.#acked = Math.min(offset, this.#length)
    if (!this.full) this.#wake()
  }

  /** Called after each append. */
  onAppend(listener: () => void): void {
    this.#onAppend.push(listener)
  }

  /**
   * Keeps the final report; it is written by rename, so it is there whole or not at all. Throws what the file system
   * throws, but even then this process knows the report and can deliver it.
   */
  saveReport(report: JobReport): void {
    this.#report = report
    try {
      writeJson(path.join(this.folder, 'report.json'), report)
    } finally {
      for (const listener of this.#onReport) listener()
    }
  }

  /** Called once the final report is here, which may be at once. */
  onReport(listener: () => void): void {
    if (this.#report !== undefined) listener()
    else this.#onReport.push(listener)
  }

  /** Forgets the lease. */
  remove(): void {
    this.close()
    fs.rmSync(this.folder, { recursive: true, force: true })
  }

  /** Leaves the folder for a later process. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#wake()
    fs.closeSync(this.#fd)
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

export interface SpooledLease {
  jobId: number
  fence: number
  jobName: string
  /** Which runner's lease it is: a digest of its token, so that another runner in the same folder leaves it alone. */
  runner: string
  /** Names the job's processes for the executor. */
  session: string
}

/** How a lease is named in memory and on disk. */
export function leaseKey(lease: { jobId: number; fence: number }): string {
  return `${lease.jobId}-${lease.fence}`
}

/** The folders of leases below `root`, oldest name first. */
export function listSpools(root: string): string[] {
  if (!fs.existsSync(root)) return []
  const names = fs.readdirSync(root).filter((name) => /^\d+-\d+$/.test(name))
  return names.sort().map((name) => path.join(root, name))
}

/** The jobs of a work folder, as another process sees them; `ended`: only the report is under way. */
export function heldJobs(workDir: string): { jobId: number; fence: number; session: string; ended: boolean }[] {
  return listSpools(path.join(workDir, 'spool')).flatMap((folder) => {
    const lease = readJson(path.join(folder, 'lease.json'))
    if (!isSpooledLease(lease)) return []
    const { jobId, fence, session } = lease
    return [{ jobId, fence, session, ended: readReport(folder) !== undefined }]
  })
}

const defaultCapBytes = 64 * 1024 * 1024

function summarize(fd: number): { length: number; crc: number } {
  const buffer = Buffer.allocUnsafe(1024 * 1024)
  let length = 0
  let crc = 0
  for (;;) {
    const read = fs.readSync(fd, buffer, 0, buffer.length, length)
    if (read === 0) return { length, crc }
    crc = crc32(buffer.subarray(0, read), crc)
    length += read
  }
}

function readReport(folder: string): JobReport | undefined {
  const report = readJson(path.join(folder, 'report.json'))
  return isReport(report) ? report : undefined
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

function writeJson(file: string, value: unknown): void {
  const fresh = `${file}.new`
  fs.writeFileSync(fresh, JSON.stringify(value), { mode: 0o600 })
  fs.renameSync(fresh, file)
}

function isSpooledLease(value: unknown): value is SpooledLease {
  if (typeof value !== 'object' || value === null) return false
  const lease = value as Record<string, unknown>
  return (
    typeof lease.jobId === 'number' &&
    typeof lease.fence === 'number' &&
    typeof lease.jobName === 'string' &&
    typeof lease.runner === 'string' &&
    typeof lease.session === 'string'
  )
}

function isReport(value: unknown): value is JobReport {
  if (typeof value !== 'object' || value === null) return false
  const report = value as Record<string, unknown>
  return report.state === 'success' || report.state === 'failed'
}
