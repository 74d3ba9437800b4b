/**
 * Jobs that are set aside: they stay pending and in the queue, and no search of this node finds them while admission rules
 * are asked about them, or until their hold has passed. All of it is memory: what a crash loses is asked for again.
 */
import type { AdmissionRules, Decision } from '../admission.js'
import type { Clock } from '../clock.js'

/** Larger numbers are not asked about: those in the queue behind them wait until some of these are gone. */
const limit = 5000

interface Aside {
  projectId: number
  /** Held until then, in milliseconds since 1970, for what was decided; absent: being asked about, or claimed. */
  hold?: { until: number; decision: Decision }
}

export class Asides {
  readonly #clock: Clock
  readonly #rules: AdmissionRules | undefined
  /** In the order in which they were set aside. */
  readonly #jobs = new Map<number, Aside>()

  constructor(clock: Clock, rules: AdmissionRules | undefined) {
    this.#clock = clock
    this.#rules = rules
  }

  /** The rules, if any is in force at this moment. */
  get rules(): AdmissionRules | undefined {
    return this.#rules?.applies() ? this.#rules : undefined
  }

  /** Whether no more jobs can be set aside for now. */
  get full(): boolean {
    return this.#jobs.size >= limit
  }

  /** Ids of the jobs that searches are to pass over. */
  ids(): number[] {
    if (this.#jobs.size === 0) return []
    const now = this.#clock.now()
    for (const [id, { hold }] of this.#jobs) if (hold && hold.until <= now) this.#jobs.delete(id)
    return [...this.#jobs.keys()]
  }

  has(jobId: number): boolean {
    return this.#jobs.has(jobId)
  }

  /** Sets the job aside; gives false if it is already. */
  add(jobId: number, projectId: number): boolean {
    if (this.#jobs.has(jobId)) return false
    this.#jobs.set(jobId, { projectId })
    return true
  }

  hold(jobId: number, decision: Decision, seconds: number): void {
    const aside = this.#jobs.get(jobId)
    if (aside) aside.hold = { until: this.#clock.now() + seconds * 1000, decision }
  }

  /** What the job is held for, while it is. */
  holdOf(jobId: number): { until: number; decision: Decision } | undefined {
    return this.#jobs.get(jobId)?.hold
  }

  remove(jobId: number): void {
    this.#jobs.delete(jobId)
  }

  /** How many jobs that are not held were set aside before this one, everywhere and in its project. */
  ahead(jobId: number, projectId: number): { all: number; project: number } {
    const ahead = { all: 0, project: 0 }
    for (const [id, aside] of this.#jobs) {
      if (id === jobId) break
      if (aside.hold) continue
      ahead.all++
      if (aside.projectId === projectId) ahead.project++
    }
    return ahead
  }
}
