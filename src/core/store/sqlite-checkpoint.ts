/**
 * Moves committed pages from the write-ahead log into the database file, in a thread of its own: done in the committing
 * thread it would stop it for milliseconds. Above 64 MiB of log the writer does it itself.
 */
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import type { WritingConnection } from './sqlite-connection.js'

const everyMs = 50
const limitBytes = 64 * 1024 * 1024

/** What the thread runs. As text, so that it needs no file of its own whether the program is built or not. */
const program = `
const { parentPort, workerData } = require('node:worker_threads')
const Sqlite = require(workerData.addon)
const db = new Sqlite(workerData.file, { timeout: 0 })
db.pragma('synchronous = FULL')
db.pragma('wal_autocheckpoint = 0')
const pageSize = db.pragma('page_size', { simple: true })
parentPort.on('message', (message) => {
  if (message === 'close') { db.close(); parentPort.close(); return }
  try {
    const [row] = db.pragma('wal_checkpoint(PASSIVE)')
    parentPort.postMessage({ walBytes: (row.log - row.checkpointed) * pageSize })
  } catch (error) {
    parentPort.postMessage({ error: String(error) })
  }
})
`

/** The thread that checkpoints, and when it is asked to. */
export class Checkpointer {
  readonly #worker: Worker
  readonly #report: (error: unknown) => void
  #waiting = false
  #timer: NodeJS.Timeout | undefined
  #dirty = false
  #behindBytes = 0

  constructor(file: string, report: (error: unknown) => void) {
    this.#report = report
    this.#worker = new Worker(program, {
      eval: true,
      workerData: { file, addon: addonPath() },
      execArgv: [],
    })
    this.#worker.unref()
    this.#worker.on('error', report)
    this.#worker.on('message', (message: { walBytes?: number; error?: string }) => {
      this.#waiting = false
      this.#behindBytes = message.walBytes ?? this.#behindBytes
      if (message.error !== undefined) report(new Error(message.error))
      if (this.#dirty) this.#arm()
    })
  }

  /** Tells of a commit. Checkpoints are asked for at most each 50 ms, and one at a time. */
  committed(writer: WritingConnection): void {
    this.#dirty = true
    if (this.#behindBytes > limitBytes) {
      this.#behindBytes = 0
      try {
        writer.raw.pragma('wal_checkpoint(TRUNCATE)')
      } catch (error) {
        // The commit stands. A disk that is full keeps the log as it is.
        this.#report(error)
      }
    }
    this.#arm()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    // Whoever waits for the end must not see the process end before it.
    this.#worker.ref()
    this.#worker.postMessage('close')
    await exited
  }

  #arm(): void {
    if (this.#waiting || this.#timer) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#dirty = false
      this.#waiting = true
      this.#worker.postMessage('checkpoint')
    }, everyMs)
    this.#timer.unref()
  }
}

function addonPath(): string {
  return createRequire(import.meta.url).resolve('better-sqlite3')
}
