import { crc32 } from 'node:zlib'
import type { JobState, StateUpdate } from '../../../src/gen/signalbox/runner/v1/runner.js'
import { Changing } from './until.js'

/** A final report, whichever door it came through. */
export interface SeenReport {
  state: 'success' | 'failed'
  exitCode: number | undefined
  failureReason: string
  logLength: number
  logCrc: number
}

/** One job as the scripted coordinator sees it. */
export class FakeJob extends Changing {
  fence = 1
  status: 'pending' | 'offered' | 'running' | 'canceling' | 'canceled' | 'success' | 'failed' = 'pending'
  /** The bytes that are safe here. */
  log: Buffer = Buffer.alloc(0)
  /** Of each piece of log that came: where it began and how long it was. */
  readonly chunks: { offset: number; length: number }[] = []
  /** The report that was applied. */
  report: SeenReport | undefined
  /** Every report that came, also those that were not answered. */
  readonly reports: SeenReport[] = []
  facts: Record<string, string> | undefined
  readonly cancelPhases: string[] = []
  readonly rejected: string[] = []
  readonly artifacts: { type: string; format: string; expireIn: string; filename: string; body: Buffer }[] = []
  cancel: { revision: number; mode: 'graceful' | 'force'; graceMs: number } | undefined
  /** Settings of a test: how this coordinator treats the job. */
  readonly treat = {
    /** Acknowledge log bytes. */
    ackLog: true,
    /** How many log bytes may be on their way. */
    windowBytes: 256 * 1024,
    /** Answer final reports. */
    ackState: true,
    /** Answer Accept with HELD. */
    hold: true,
    /** Store log bytes and say nothing about it. */
    swallowAcks: false,
    /** Answer Accept with HELD and the cancel that waits. */
    cancelWithLease: false,
    /** Extend the lease when it is renewed. */
    renew: true,
  }

  constructor(
    readonly id: number,
    readonly payload: Buffer,
    readonly name: string,
    readonly token: string,
  ) {
    super()
  }

  get text(): string {
    return this.log.toString('utf8')
  }

  get done(): boolean {
    return this.report !== undefined
  }

  append(offset: number, data: Buffer): void {
    this.chunks.push({ offset, length: data.length })
    if (offset <= this.log.length && offset + data.length > this.log.length) {
      this.log = Buffer.concat([this.log, data.subarray(this.log.length - offset)])
    }
    this.changed()
  }

  finish(report: SeenReport): void {
    if (this.report !== undefined) return
    this.report = report
    this.status = this.status === 'canceling' || this.status === 'canceled' ? 'canceled' : report.state
    this.changed()
  }

  /** Waits for the end. */
  finished(withinMs?: number): Promise<SeenReport> {
    return this.until(() => this.report, `the end of job ${this.id}; its log so far:\n${this.text}`, withinMs)
  }

  /** Waits until the log holds this. */
  says(text: string, withinMs?: number): Promise<true> {
    return this.until(() => this.text.includes(text), `${JSON.stringify(text)} in the log of job ${this.id}`, withinMs)
  }

  get logCrc(): number {
    return crc32(this.log)
  }
}

export function toSeenReport(update: StateUpdate): SeenReport {
  const success: JobState | string = 'JOB_STATE_SUCCESS'
  return {
    state: update.state === success ? 'success' : 'failed',
    exitCode: update.exitCode,
    failureReason: update.failureReason,
    logLength: update.logLength,
    logCrc: update.logCrc32,
  }
}
