/** One life of the coordinator: its process, from the start to a crash or the end of the simulation. */
import type { BlobStore } from '../core/blobs/blob-store.js'
import type { CiLanguage } from '../core/ci-config/language.js'
import { type Clock, SystemClock } from '../core/clock.js'
import { type Core, defaultCoreSettings } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { defaultLeaseSettings } from '../core/lease.js'
import type { Log } from '../core/log.js'
import { type CoreParts, makeCore } from '../core/make-core.js'
import { recoverNode, setAdminToken } from '../core/operations/prepare-node.js'
import type { TaskTimes } from '../core/scheduler/task-times.js'
import type { Tasks } from '../core/scheduler/tasks.js'
import { latestTime } from '../core/store/open.js'
import { SqliteStore } from '../core/store/sqlite-store.js'
import type { User } from '../core/store/users.js'
import type { Engine, Store } from '../core/store/write.js'
import { type Keys, keysFrom } from '../core/tokens/keys.js'
import { Access } from '../http/access.js'
import { Polls } from '../shim/poll.js'
import { StreamHub } from '../transports/stream-hub.js'
import { LifeConnection, type SimDatabase } from './database.js'
import type { SimDisk } from './disk.js'
import type { SimRandom } from './random.js'
import { ReadCommittedStore } from './read-committed-store.js'
import type { SimRepositories } from './repositories.js'
import { ProcessTime, type SimTime } from './time.js'
import type { Turns } from './turns.js'

export interface NodeOptions {
  database: SimDatabase
  disk: SimDisk
  time: SimTime
  turns: Turns
  random: SimRandom
  engine: Engine
  repositories: SimRepositories
  language: CiLanguage
  /** Exchanges parts of the core before it is put together: how a fault is planted. */
  replace: (parts: CoreParts) => CoreParts
  /** A fault of ours has been noticed. */
  report: (what: string, error: unknown) => void
  /** The process has died at a commit. */
  crashed: () => void
}

export const simKeys: Keys = keysFrom(Buffer.alloc(32, 4))

/** Shorter than in life where only waiting would be simulated, and never shorter than a honest runner needs. */
const simLeases = {
  ...defaultLeaseSettings,
  twoPhase: { acceptWithinMs: 30_000, heldForMs: 120_000 },
  onePhase: { acceptWithinMs: null, heldForMs: 120_000 },
}

/** Sweeps come less often than in life, and within what is promised; the rest are run by hand. */
const taskTimes: TaskTimes = {
  expire_leases: 5000,
  wake_runners: 5000,
  enqueue_due_jobs: 5000,
  assign_resources: 10_000,
  finish_work: 30_000,
  settle_bridges: 30_000,
  drop_timed_out: 300_000,
}

/** Simulated jobs keep nothing but their logs. */
const noBlobs: BlobStore = {
  store: () => Promise.reject(new Error('nothing is kept here')),
  open: () => {
    throw new Error('nothing is kept here')
  },
  exists: async () => false,
  remove: async () => undefined,
  removeUnfinished: async () => undefined,
  async *settled() {},
}

const unlimited = { polls: 'off', wrongCredentials: 'off', registrations: 'off' } as const

export class SimNode {
  core!: Core
  tasks!: Tasks
  hub!: StreamHub
  polls!: Polls
  admin!: User
  clock!: Clock
  /** The doors are open. */
  open = false
  dead = false
  /** Is called when storage has failed and the process has ended by it. */
  onFault: () => void = () => undefined
  readonly connection: LifeConnection
  readonly #options: NodeOptions
  readonly #time: ProcessTime
  readonly #endDisk: () => void
  readonly #disk

  constructor(options: NodeOptions) {
    this.#options = options
    this.#time = new ProcessTime(options.time)
    const { disk, end } = options.disk.open()
    this.#disk = disk
    this.#endDisk = end
    this.connection = new LifeConnection(options.database.connection, {
      moved: options.turns.moved,
      crashed: () => this.#die(),
    })
  }

  /** As the server starts: store, core, recovery, then the doors. */
  async start(): Promise<void> {
    const clock = new SystemClock(0, this.#time)
    this.clock = clock
    const store = this.#openStore(clock)
    clock.raise(await latestTime(store))
    const { core, tasks } = makeCore(
      this.#options.replace({
        node: 'sim',
        store,
        clock,
        random: this.#options.random.fork('core'),
        keys: simKeys,
        traces: '/traces',
        blobs: { artifacts: noBlobs, caches: noBlobs },
        repositories: this.#options.repositories,
        language: this.#options.language,
        log: this.#log(),
        externalUrl: () => 'http://sim.test',
        // Few at once, so that small pipelines go through many passes.
        settings: { ...defaultCoreSettings, leases: simLeases, taskTimes, jobsAtOnce: 2 },
        fatal: (error) => this.#report('fatal', error),
        disk: this.#disk,
      }),
    )
    this.core = core
    this.tasks = tasks
    this.admin = await setAdminToken(core, 'glpat-simulated-admin-token')
    await tasks.load()
    await recoverNode(core)
    // It is the only node, and does not have to ask for its duties.
    core.nodeState.setDuty(Number.POSITIVE_INFINITY)
    tasks.start()
    this.hub = new StreamHub(core)
    this.polls = new Polls(core, new Access(core, unlimited), 50_000)
    this.open = true
  }

  /** The process is gone: nothing that it was doing is done, nothing that it would have said is said. */
  kill(): void {
    this.dead = true
    this.open = false
    this.#time.end()
    this.#endDisk()
    this.connection.end()
  }

  #openStore(clock: Clock): Store {
    const { connection } = this
    const { random, engine } = this.#options
    const report = (error: unknown, what: string) => this.#report(what, error)
    const common = { connection, clock, random: random.fork('bodies'), report }
    if (engine === 'sqlite') {
      return new SqliteStore({ ...common, file: ':memory:', fatal: (error) => this.#endBy(error) })
    }
    const order = random.fork('order')
    return new ReadCommittedStore({ ...common, order, interleaving: 0.15, repeating: 0.1 })
  }

  #log(): Log {
    const quiet = () => undefined
    const loud = (fields: object, message: string) => {
      const { err } = fields as { err?: unknown }
      // What a failed commit leaves undone is done again later; that it is, the rules of the end tell.
      if (!(err instanceof SignalboxError && err.code === 'unavailable')) this.#report(message, err)
    }
    return { debug: quiet, info: quiet, warn: quiet, error: loud }
  }

  /** As the server does with storage that it can trust no longer. */
  #endBy(error: unknown): void {
    if ((error as { code?: unknown })?.code === 'SQLITE_IOERR_WRITE') {
      this.#die()
      this.onFault()
    } else this.#report('fatal', error)
  }

  #die(): void {
    if (this.dead) return
    this.kill()
    this.#options.crashed()
  }

  #report(what: string, error: unknown): void {
    if (!this.dead) this.#options.report(what, error)
  }
}
