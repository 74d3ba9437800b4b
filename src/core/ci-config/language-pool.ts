/** Compiles and plans in threads, with projects in turn, and small work here. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { deserialize, serialize } from 'node:v8'
import type { CiConfig, CompileOptions, CompileResult } from './compilation.js'
import { factsWanted } from './facts-wanted.js'
import { type CiLanguage, inThisThread, type LookUpFacts, type PlanEvent, type RuleFacts } from './language.js'
import { type Answers, LanguageThread, type Outcome, type ThreadLimits } from './language-thread.js'
import { within } from './meter.js'
import { planPipeline } from './plan-pipeline.js'
import type { PlanResult } from './planning.js'
import { functionNames, type PackedResult, type Task } from './worker.js'

/** How many threads there are, and what one computation may take. */
export interface PoolLimits extends ThreadLimits {
  threads: number
  /** Steps (`meter.ts`) of planning that this thread takes over itself, rather than hand a small file across. */
  stepsHere: number
  /** A configuration of more bytes is never read in this thread. A MiB takes about 25 ms. */
  bytesHere: number
}

const standardLimits: PoolLimits = {
  milliseconds: 5_000,
  wallMilliseconds: 60_000,
  memoryMiB: 256,
  threads: Math.min(4, Math.max(2, availableParallelism())),
  stepsHere: 20_000,
  bytesHere: 1024 * 1024,
}

const workerScript = new URL('./worker.js', import.meta.url)

interface Waiting {
  task: Task
  answers: Answers
  finish: (outcome: Outcome) => void
}

/** The tasks of one turn. */
interface Lane {
  waiting: Waiting[]
  running: number
}

/**
 * The language in threads of their own. Compiling always goes there; planning only when it takes more than
 * `stepsHere`, since for most files it is done sooner than said. Turns go round, and one turn never has all threads: a
 * file that takes long holds up nobody but those who brought it.
 */
export class LanguagePool implements CiLanguage {
  readonly #limits: PoolLimits
  readonly #threads: LanguageThread[]
  /** In the order of their next task. */
  readonly #lanes = new Map<string, Lane>()

  /** @param cpu as of `LanguageThread` */
  constructor(limits: Partial<PoolLimits> = {}, script: URL = workerScript, cpu?: () => number) {
    this.#limits = { ...standardLimits, ...limits }
    this.#threads = Array.from({ length: this.#limits.threads }, () => new LanguageThread(this.#limits, script, cpu))
  }

  /** Exceeding a limit or crashing is told as an error in the file; this never throws. */
  async compile(source: string, options: CompileOptions, turn: string): Promise<CompileResult> {
    const data = Object.entries(options).filter(([, value]) => typeof value !== 'function')
    const functions = functionNames.filter((name) => options[name] !== undefined)
    const task: Task = { name: 'compile', source, options: Object.fromEntries(data), functions }
    const answers: Answers = Object.fromEntries(functions.map((name) => [name, options[name]]))
    const outcome = await this.#run(task, answers, turn)
    if (!outcome.ok) return { ok: false, errors: [problemError('compiling', outcome.problem)], warnings: [] }
    const { result, packed } = outcome.result as PackedResult
    return result.ok && packed !== undefined ? { ...result, config: this.#unpack(packed) } : result
  }

  async plan(config: CiConfig, event: PlanEvent, lookUp: LookUpFacts, turn: string): Promise<PlanResult> {
    let asked: Promise<RuleFacts> | undefined
    const once: LookUpFacts = (wanted) => (asked ??= lookUp(wanted))
    const done = isHere(config) ? await this.#planHere(config, event, once) : undefined
    if (done !== undefined) return done
    const packed = packedOf(config) ?? serialize(config)
    const outcome = await this.#run({ name: 'plan', packed, event }, { lookUp: once }, turn)
    if (outcome.ok) return outcome.result as PlanResult
    // What could not be looked up is no fault of the file.
    await asked
    return { ok: false, filtered: false, errors: [problemError('deciding the rules', outcome.problem)] }
  }

  /** A log in which nothing is found in time has no coverage. */
  async coverage(log: string, pattern: string, turn: string): Promise<number | null> {
    const outcome = await this.#run({ name: 'coverage', log, pattern }, {}, turn)
    return outcome.ok ? (outcome.result as number | null) : null
  }

  /** Ends the threads; what is unfinished is refused. Safe to repeat; a later task starts new threads. */
  async close(): Promise<void> {
    for (const { waiting } of this.#lanes.values()) {
      for (const { finish } of waiting.splice(0)) finish({ ok: false, problem: 'was stopped' })
    }
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }

  /** Undefined when that would hold up this thread. */
  async #planHere(config: CiConfig, event: PlanEvent, lookUp: LookUpFacts): Promise<PlanResult | undefined> {
    const { stepsHere } = this.#limits
    const wanted = within(stepsHere, () => factsWanted(config, event))
    if (wanted === undefined) return undefined
    const facts = await lookUp(wanted.value)
    return within(stepsHere - wanted.used, () => planPipeline(config, { ...event, ...facts }))?.value
  }

  #unpack(packed: Uint8Array): CiConfig {
    const isSmall = packed.byteLength <= this.#limits.bytesHere
    return { ...(isSmall ? (deserialize(packed) as CiConfig) : emptyConfig), packed }
  }

  #run(task: Task, answers: Answers, turn: string): Promise<Outcome> {
    return new Promise((finish) => {
      let lane = this.#lanes.get(turn)
      if (lane === undefined) {
        lane = { waiting: [], running: 0 }
        this.#lanes.set(turn, lane)
      }
      lane.waiting.push({ task, answers, finish })
      this.#next()
    })
  }

  #next(): void {
    const thread = this.#threads.find(({ isIdle }) => isIdle)
    if (thread === undefined) return
    const atOnce = Math.max(1, this.#threads.length - 1)
    for (const [turn, lane] of this.#lanes) {
      const next = lane.running < atOnce ? lane.waiting.shift() : undefined
      if (next === undefined) continue
      this.#lanes.delete(turn)
      this.#lanes.set(turn, lane)
      lane.running++
      const end = (outcome: Outcome) => {
        lane.running--
        if (lane.running === 0 && lane.waiting.length === 0) this.#lanes.delete(turn)
        next.finish(outcome)
        this.#next()
      }
      thread.run(next.task, next.answers).then(end, () => end({ ok: false, problem: 'crashed' }))
      return
    }
  }
}

let shared: LanguagePool | undefined

/**
 * The threads of this process, for a server, which must survive any file. A command that reads its user's own file uses
 * `inThisThread` and saves the start of a thread. Run from TypeScript sources there is no script for a thread, and all is
 * done in this one.
 */
export function languageThreads(): CiLanguage {
  if (!existsSync(workerScript)) return inThisThread
  shared ??= new LanguagePool()
  return shared
}

const emptyConfig: CiConfig = { version: 1, stages: [], document: undefined }

/** Of how many bytes a configuration is that a thread has made. */
export function packedOf(config: CiConfig): Uint8Array | undefined {
  return config.packed instanceof Uint8Array ? config.packed : undefined
}

/** Whether there is more of a configuration than its bytes. */
function isHere(config: CiConfig): boolean {
  return config.jobs !== undefined
}

function problemError(doing: string, problem: string) {
  return { message: `${doing} ${problem}`, path: '', line: 1, column: 1 }
}
