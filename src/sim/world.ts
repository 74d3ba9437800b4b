/**
 * What surrounds the coordinator: its disk and database, time, the network, and whoever uses it. One seed decides
 * everything that is left to chance; two runs of a seed are the same run.
 */
import { createHash } from 'node:crypto'
import type { CompileResult } from '../core/ci-config/compilation.js'
import { type CiLanguage, inThisThread } from '../core/ci-config/language.js'
import { SignalboxError } from '../core/errors.js'
import type { CoreParts } from '../core/make-core.js'
import type { Engine } from '../core/store/write.js'
import type { SimDatabase } from './database.js'
import { SimDisk } from './disk.js'
import { SimNode } from './node.js'
import { Oracle } from './oracle.js'
import { SimRandom } from './random.js'
import { SimRepositories } from './repositories.js'
import { SimTime } from './time.js'
import { Turns } from './turns.js'

/** What was found to be wrong. */
export interface Violation {
  invariant: string
  what: string
}

/** The answer to a request did not come: the request may have been carried out. */
export class Unanswered extends Error {}

/** What can happen in this seed; each seed has some of it. */
export interface Weather {
  engine: Engine
  /** Whether things that take longer are left under way while others begin. */
  hurried: boolean
  crashes: boolean
  powerFails: boolean
  clockJumps: boolean
  cuts: boolean
  lostAnswers: boolean
  diskFills: boolean
  commitsFail: boolean
  statementsFail: boolean
}

const linesKept = 60

export class World {
  readonly random: SimRandom
  readonly time: SimTime
  readonly turns = new Turns()
  readonly disk: SimDisk
  readonly database: SimDatabase
  readonly repositories = new SimRepositories()
  readonly oracle = new Oracle()
  readonly weather: Weather
  /** The process that runs now. */
  node: SimNode
  violation: Violation | undefined
  step = 0
  /** Nothing goes wrong any more. */
  healed = false
  readonly #replace: (parts: CoreParts) => CoreParts
  readonly #net: SimRandom
  readonly #hash = createHash('sha256')
  readonly #last: string[] = []
  readonly #onCrash = new Set<() => void>()
  #lives = 0

  constructor(seed: number, database: SimDatabase, replace: (parts: CoreParts) => CoreParts) {
    this.random = new SimRandom(seed)
    this.database = database
    this.#replace = replace
    this.time = new SimTime(this.random.fork('time'))
    this.disk = new SimDisk(this.random.fork('disk'), this.turns)
    this.#net = this.random.fork('net')
    this.weather = weatherOf(this.random.fork('weather'))
    this.node = this.#nextNode()
  }

  /** How many lives the coordinator has had. */
  get lives(): number {
    return this.#lives
  }

  /** The last lines of what has happened. */
  get last(): readonly string[] {
    return this.#last
  }

  /** Names everything that has happened so far. */
  get hash(): string {
    return this.#hash.copy().digest('hex').slice(0, 16)
  }

  note(text: string): void {
    const line = `${(this.time.monotonic() / 1000).toFixed(3).padStart(9)} ${text}`
    this.#hash.update(line)
    this.#last.push(line)
    if (this.#last.length > linesKept) this.#last.shift()
  }

  fail(invariant: string, what: string): void {
    this.violation ??= { invariant, what }
  }

  /** Starts the coordinator anew after a crash. */
  async startNode(): Promise<void> {
    if (!this.node.dead && this.node.open) return
    if (this.node.dead) this.node = this.#nextNode()
    const { node } = this
    try {
      await node.start()
      this.note('the coordinator is ready')
    } catch (error) {
      if (!node.dead) throw error
    }
  }

  /** The process is killed where it stands. */
  crash(): void {
    if (this.node.dead) return
    this.node.kill()
    this.#crashed()
  }

  /** Calls `fn` when the process of now has died, once. */
  onceCrashed(fn: () => void): () => void {
    this.#onCrash.add(fn)
    return () => this.#onCrash.delete(fn)
  }

  /** A delay of the network, in milliseconds. */
  delay(): number {
    return this.#net.between(1, 40)
  }

  /**
   * A request over the network, and its answer; rejects with `Unanswered` if one of them is lost, the coordinator is not
   * there or dies meanwhile, and with what the coordinator refuses it with. `twice`: it is delivered two times.
   */
  request<T>(name: string, call: (node: SimNode) => Promise<T>, options: { twice?: boolean } = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const unanswered = () => reject(new Unanswered(name))
      const lost = !this.healed && this.weather.lostAnswers ? this.#net.int(20) : 20
      this.time.after(this.delay(), () => {
        const { node } = this
        if (!node.open || lost === 0) {
          this.time.after(1000, unanswered)
          return
        }
        const gone = this.onceCrashed(() => this.time.after(this.delay(), unanswered))
        const answer = (say: () => void) => {
          if (node.dead) return
          gone()
          this.time.after(lost === 1 ? 5000 : this.delay(), lost === 1 ? unanswered : say)
        }
        const once = () => {
          call(node).then(
            (value) => {
              this.note(`${name}: done`)
              answer(() => resolve(value))
            },
            (error: unknown) => {
              const refused = SignalboxError.from(error)
              if (!node.dead) this.note(`${name}: ${refused.code}`)
              if (!node.dead && refused.code === 'internal')
                this.fail('no fault of ours', `${name}: ${String(refused.cause)}`)
              answer(() => reject(refused))
            },
          )
        }
        once()
        if (options.twice) once()
      })
    })
  }

  #crashed(): void {
    this.note('the coordinator is gone')
    if (this.weather.powerFails && !this.healed) this.disk.crash()
    for (const fn of [...this.#onCrash]) fn()
    this.#onCrash.clear()
  }

  #nextNode(): SimNode {
    return new SimNode({
      database: this.database,
      disk: this.disk,
      time: this.time,
      turns: this.turns,
      random: this.random.fork(`life ${++this.#lives}`),
      engine: this.weather.engine,
      repositories: this.repositories,
      language,
      replace: this.#replace,
      report: (what, error) => this.fail('no fault of ours', `${what}: ${String((error as Error)?.stack ?? error)}`),
      crashed: () => this.#crashed(),
    })
  }
}

function weatherOf(random: SimRandom): Weather {
  return {
    engine: random.pick(['sqlite', 'postgres']),
    hurried: random.chance(0.5),
    crashes: random.chance(0.5),
    powerFails: random.chance(0.5),
    clockJumps: random.chance(0.4),
    cuts: random.chance(0.5),
    lostAnswers: random.chance(0.5),
    diskFills: random.chance(0.15),
    commitsFail: random.chance(0.3),
    statementsFail: random.chance(0.3),
  }
}

/** The few texts of all seeds are compiled once a process. */
const compiled = new Map<string, CompileResult>()
const language: CiLanguage = {
  ...inThisThread,
  compile: async (source, options, turn) => {
    const known = compiled.get(source)
    if (known) return known
    const result = await inThisThread.compile(source, options, turn)
    compiled.set(source, result)
    return result
  },
}
