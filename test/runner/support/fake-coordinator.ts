import type http from 'node:http'
import type { GoodbyeCode } from '../../../src/gen/signalbox/runner/v1/runner.js'
import { FakeJob } from './fake-job.js'
import type { GitServer } from './git-server.js'
import { openGrpcDoor } from './grpc-door.js'
import { openHttpDoor } from './http-door.js'
import { buildPayload, type PayloadSpec } from './payload.js'
import type { StreamPeer } from './stream-peer.js'
import { Changing } from './until.js'

export const runnerToken = 'glrt-t1_FakeRunner01234567'

/** One listening address. */
export interface Door {
  port: number
  /** Breaks all connections. */
  cut(): void
  close(): Promise<void>
}

/**
 * A coordinator that does what a test says: it keeps everything in memory, decides nothing by itself, and serves the
 * doors that a runner can come through.
 */
export class FakeCoordinator extends Changing {
  /** In the order in which they are handed out. */
  readonly jobs: FakeJob[] = []
  readonly peers = new Set<StreamPeer>()
  readonly goodbyes: GoodbyeCode[] = []
  /** Requests that came over REST: method, path and headers. */
  readonly requests: { method: string; path: string; headers: http.IncomingHttpHeaders; body: Buffer }[] = []
  tokens = new Set([runnerToken])
  epoch = 0
  leaseMs = 60_000
  renewEveryMs = 20_000
  pingIntervalMs = 20_000
  drained = false
  /** Receives and says nothing: a connection that leads nowhere. */
  mute = false
  http = ''
  grpc = ''
  /** The repositories, if there are any. */
  git: GitServer | undefined
  /** Where an archive is fetched from, if not here. */
  redirectTo = ''
  /** The value that a long poll waits to see changed. */
  queue = 'queue-1'
  listening = false
  /** The header by which a coordinator slows logs down, if it does. */
  traceInterval: Record<string, string> = {}
  #doors: Door[] = []
  #httpPort = 0
  #grpcPort = 0
  readonly #faults: { pattern: RegExp; status: number; headers: Record<string, string>; times: number }[] = []
  #losses = new Map<number, number>()

  static async start(): Promise<FakeCoordinator> {
    const box = new FakeCoordinator()
    await box.listen()
    return box
  }

  /** Adds a job that waits for a runner. */
  add(spec: PayloadSpec = {}): FakeJob {
    const id = this.jobs.length + 1
    const token = `glcbt-job${id}TokenOfThisJob`
    const job = new FakeJob(id, buildPayload(id, token, this.http, spec), spec.name ?? `job-${id}`, token)
    this.jobs.push(job)
    for (const peer of this.peers) peer.offer()
    this.queue = `queue-${id + 1}`
    this.changed()
    return job
  }

  job(id: number): FakeJob | undefined {
    return this.jobs.find((job) => job.id === id)
  }

  cancel(job: FakeJob, mode: 'graceful' | 'force', graceMs = 10_000): void {
    job.cancel = { revision: (job.cancel?.revision ?? 0) + 1, mode, graceMs }
    job.status = mode === 'force' ? 'canceled' : 'canceling'
    for (const peer of this.peers) peer.cancel(job)
  }

  /** Gives the job to somebody else. */
  fence(job: FakeJob): void {
    job.fence++
    job.status = 'failed'
    this.cut()
  }

  /** The next pieces of a job's log arrive and are forgotten. */
  lose(job: FakeJob, pieces: number): void {
    this.#losses.set(job.id, pieces)
  }

  losesNext(job: FakeJob): boolean {
    const left = this.#losses.get(job.id) ?? 0
    if (left > 0) this.#losses.set(job.id, left - 1)
    return left > 0
  }

  /** The next requests that match are answered so instead. */
  fault(pattern: RegExp, status: number, options: { times?: number; headers?: Record<string, string> } = {}): void {
    const { times = 1, headers = {} } = options
    this.#faults.push({ pattern, status, headers, times })
  }

  takeFault(request: string): { status: number; headers: Record<string, string> } | undefined {
    const fault = this.#faults.find((each) => each.times > 0 && each.pattern.test(request))
    if (fault !== undefined) fault.times--
    return fault
  }

  /** The one stream that is open. */
  peer(): Promise<StreamPeer> {
    return this.until(() => [...this.peers].find((peer) => peer.hello !== undefined && peer.open), 'a stream')
  }

  /** Cuts every connection. */
  cut(): void {
    for (const peer of this.peers) peer.wire.cut()
    for (const door of this.#doors) door.cut()
  }

  /** Opens all doors, at the addresses that they had before. */
  async listen(): Promise<void> {
    this.#doors = [await openHttpDoor(this, this.#httpPort), await openGrpcDoor(this, this.#grpcPort)]
    const [httpDoor, grpcDoor] = this.#doors
    this.#httpPort = httpDoor?.port ?? 0
    this.#grpcPort = grpcDoor?.port ?? 0
    this.listening = true
    this.http = `http://127.0.0.1:${this.#httpPort}`
    this.grpc = `grpc://127.0.0.1:${this.#grpcPort}`
  }

  /** Goes away; `listen` brings it back. */
  async unlisten(): Promise<void> {
    this.listening = false
    this.changed()
    this.cut()
    await Promise.all(this.#doors.map((door) => door.close()))
    this.#doors = []
    this.peers.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlisten()
  }
}
