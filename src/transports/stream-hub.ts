/**
 * All streams of this node: who is attached, keepalive for all of them from one timer, and what must reach every stream of
 * a runner (its settings changed, it was deleted) or every stream at all (the node stops).
 */
import type { Core } from '../core/core.js'
import { eachSafely } from '../core/each-safely.js'
import { runnerFacts } from '../core/operations/contact-runner.js'
import { listOpenLeases } from '../core/store/leases.js'
import { findManagerById, findRunner } from '../core/store/runners.js'
import { GoodbyeCode } from '../gen/signalbox/runner/v1/runner.js'
import type { Peer } from './attach.js'
import type { Carrier } from './carrier.js'
import { type Hub, RunnerConnection } from './runner-connection.js'

export interface StreamHubOptions {
  pingIntervalMs?: number
  pongWithinMs?: number
  helloWithinMs?: number
  /** New streams in a second; more are asked to come again. A guard above what a node can do. */
  newStreamsPerSecond?: number
  /** Credits that one stream can have at most. */
  creditLimit?: number
  /** Unacknowledged log bytes of a job. */
  logWindowBytes?: number
}

const tickMs = 1000
const drained = 'this node is drained'
/** Streams come back over this time after a stop, not all at once. */
const spreadMs = 2000

export class StreamHub implements Hub {
  readonly pingIntervalMs: number
  readonly creditLimit: number
  readonly logWindowBytes: number
  readonly stats = { opened: 0, fenced: 0, timedOut: 0 }
  readonly #core: Core
  readonly #options: Required<StreamHubOptions>
  readonly #connections = new Set<RunnerConnection>()
  readonly #byManager = new Map<number, { connection: RunnerConnection; stop: () => void }>()
  /** The last boot and epoch of every manager that has attached since this node started. */
  readonly #known = new Map<number, { bootId: string; epoch: number }>()
  readonly #stops: (() => void)[]
  #refreshing: Promise<unknown> = Promise.resolve()
  #newThisSecond = 0
  #closing = false

  constructor(core: Core, options: StreamHubOptions = {}) {
    this.#core = core
    this.#options = {
      pingIntervalMs: 20_000,
      pongWithinMs: 10_000,
      helloWithinMs: 10_000,
      newStreamsPerSecond: 5000,
      creditLimit: 1000,
      logWindowBytes: 256 * 1024,
      ...options,
    }
    this.pingIntervalMs = this.#options.pingIntervalMs
    this.creditLimit = this.#options.creditLimit
    this.logWindowBytes = this.#options.logWindowBytes
    this.#stops = [
      core.clock.every(tickMs, () => this.#tick()),
      core.capabilityChanges.listen(() => this.#refreshAll()),
      core.nodeState.listen(() => this.#drain()),
      core.events.listen((event) => {
        if (event.kind === 'runner.changed' || event.kind === 'runner.deleted') {
          this.#refresh(event.runnerId!).catch((error) =>
            core.log.error({ err: error, runner: event.runnerId }, 'a stream could not follow its runner’s change'),
          )
        }
      }),
    ]
  }

  get size(): number {
    return this.#connections.size
  }

  /** Streams that are attached, by carrier. */
  count(door: Carrier['door']): number {
    let count = 0
    for (const connection of this.#connections) {
      if (connection.door === door && connection.attached) count++
    }
    return count
  }

  /** A carrier has opened. Returns the connection that takes its messages. */
  open(carrier: Carrier): RunnerConnection {
    const connection = new RunnerConnection(this.#core, this, carrier)
    this.stats.opened++
    this.#connections.add(connection)
    if (this.#closing) {
      connection.goodbye(GoodbyeCode.GOODBYE_CODE_SHUTDOWN, 'this node stops', this.#spread())
    } else if (this.#core.nodeState.draining) {
      connection.goodbye(GoodbyeCode.GOODBYE_CODE_SHUTDOWN, drained, tickMs + this.#spread())
    } else if (++this.#newThisSecond > this.#options.newStreamsPerSecond) {
      connection.goodbye(GoodbyeCode.GOODBYE_CODE_OVERLOADED, 'too many new streams', tickMs + this.#spread())
    }
    return connection
  }

  /** An older connection of the same manager is closed. */
  register(connection: RunnerConnection, { managerId, bootId }: Peer): { epoch: number; lastBoot: string | undefined } {
    const known = this.#known.get(managerId)
    const epoch = (known?.epoch ?? 0) + 1
    this.#known.set(managerId, { bootId, epoch })
    const older = this.#byManager.get(managerId)
    const stop = this.#core.leaseSignals.listen(managerId, connection)
    this.#byManager.set(managerId, { connection, stop })
    older?.connection.goodbye(GoodbyeCode.GOODBYE_CODE_SUPERSEDED, 'a newer stream of this manager has come')
    return { epoch, lastBoot: known?.bootId }
  }

  closed(connection: RunnerConnection, managerId: number | undefined): void {
    this.#connections.delete(connection)
    const filed = managerId === undefined ? undefined : this.#byManager.get(managerId)
    if (managerId === undefined || filed?.connection !== connection) return
    this.#byManager.delete(managerId)
    filed.stop()
  }

  /** Says goodbye to everybody. Safe to repeat. */
  close(): void {
    this.#closing = true
    for (const stop of this.#stops.splice(0)) stop()
    for (const connection of [...this.#connections]) {
      connection.goodbye(GoodbyeCode.GOODBYE_CODE_SHUTDOWN, 'this node stops', this.#spread())
    }
  }

  /** Streams come back at once, and so to another node: a balancer has asked whether this one is ready. */
  #drain(): void {
    if (!this.#core.nodeState.draining) return
    for (const connection of [...this.#connections]) {
      connection.goodbye(GoodbyeCode.GOODBYE_CODE_SHUTDOWN, drained, this.#spread())
    }
  }

  #tick(): void {
    this.#newThisSecond = 0
    const now = this.#core.clock.ran()
    for (const connection of this.#connections) {
      const missed = connection.tick(now, this.#options)
      if (missed === undefined) continue
      this.stats.timedOut++
      connection.goodbye(GoodbyeCode.GOODBYE_CODE_TIMEOUT, missed)
    }
  }

  /** Asked anew, one runner after another; what changes meanwhile is seen by another round behind this one. */
  #refreshAll(): void {
    this.#refreshing = this.#refreshing.then(async () => {
      const runners = new Set([...this.#byManager.values()].map(({ connection }) => connection.runner.id))
      await eachSafely(this.#core.log, 'asking for what executors can do', [...runners], (id) => this.#refresh(id))
    })
  }

  async #refresh(runnerId: number): Promise<void> {
    const { store } = this.#core
    for (const { connection } of [...this.#byManager.values()]) {
      if (connection.runner.id !== runnerId) continue
      const runner = await findRunner(store.read, runnerId)
      const manager = await findManagerById(store.read, connection.managerId)
      const leases = runner ? [] : await listOpenLeases(store.read, connection.managerId)
      if (leases.some((lease) => lease.status === 'held')) {
        connection.dismiss()
        continue
      }
      if (!runner || !manager || runner.tokenHash !== connection.runner.tokenHash) {
        connection.goodbye(GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED, 'the runner’s token is not valid any more')
        continue
      }
      const facts = await runnerFacts(this.#core, runner, {
        ...manager,
        features: JSON.parse(manager.features),
      })
      connection.reclassify(runner, facts)
    }
  }

  #spread(): number {
    return this.#core.random.bytes(2).readUInt16BE() % spreadMs
  }
}
