/**
 * Brings runners that wait and jobs that can run together. Memory holds only who waits: waiters, grouped into classes of
 * runners that can take the same jobs. The queue itself is in the store.
 *
 * - A job that becomes pending asks `take` inside its transaction: the waiter is reserved there, settled when the commit
 *   is durable, given back if it fails. So a job that meets an idle runner is leased in the transaction that queued it.
 * - A waiter that arrives, or gets a credit, `seek`s the best job of the queue. It counts as waiting before it looks, so
 *   a job queued meanwhile finds it.
 * - `sweep`, each second, finds whatever a lost wake-up has left side by side. Losing a wake-up costs latency only.
 */
import type { Clock } from '../clock.js'
import type { Door } from '../lease.js'
import type { Log } from '../log.js'
import type { Offer } from '../payload/offer.js'
import type { Runner } from '../runner.js'
import { excludedManagers } from '../store/lease-refusals.js'
import { projectFacts } from '../store/projects.js'
import { type DemandCache, findCandidate, type Seeker, waitingLanes } from '../store/queue.js'
import type { Store, Tx } from '../store/write.js'
import type { Asides } from './asides.js'
import { type Demand, meets, type ProjectFacts, type RunnerFacts, serves } from './match.js'

/** Somebody who can be given a job. */
export interface Claimant {
  readonly runner: Runner
  readonly managerId: number
  readonly facts: RunnerFacts
  readonly door: Door
  /** The logical request that asks, where the door has one. */
  readonly requestId: string | null
  /** Hands the offer over, after the commit, and settles the reservation. Returns false if nobody is there any more. */
  deliver(offer: Offer): boolean
}

/** A claimant that stays until it is removed. */
export interface Waiter extends Claimant {
  /** Jobs that it can still take, apart from those reserved. */
  free(): number
  reserve(): void
  unreserve(): void
}

/** Waiters whose runners can take exactly the same jobs. */
interface RunnerClass {
  readonly key: string
  readonly facts: RunnerFacts
  members: number
  /** Those with a credit, in the order in which they are served: the one served last is at the end. */
  readonly idle: Set<Waiter>
  readonly meets: Map<number, boolean>
  /** The last search for one of them found a job, so the next will probably find one too. */
  lucky: boolean
}

/** What the dispatcher asks to claim jobs and to take offers back. */
export interface DispatcherOptions {
  store: Store
  clock: Clock
  demands: DemandCache
  asides: Asides
  log: Log
  /** Claims one job for the waiter; gives whether it got one. */
  claim: (waiter: Waiter) => Promise<boolean>
  /** Takes back an offer that could not be handed over. */
  takeBack: (offer: Offer) => Promise<void>
}

/** An eligible job beside an idle fitting runner for longer than this is a fault of ours. */
const livenessMs = 10_000

/** Who waits for jobs on this node. Losing all of it costs latency only. */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #classes = new Map<string, RunnerClass>()
  readonly #classOf = new Map<Waiter, RunnerClass>()
  readonly #seeking = new Map<Waiter, { again: boolean }>()
  readonly #stalledSince = new Map<number, number>()
  /** What claimants that do not stay can meet, as long as they come with the same facts. */
  readonly #metBy = new WeakMap<RunnerFacts, Map<number, boolean>>()
  #violations = 0

  constructor(options: DispatcherOptions) {
    this.#options = options
  }

  get waiters(): number {
    return this.#classOf.size
  }

  /** How often an eligible job has stood beside an idle fitting runner for more than 10 s. */
  get violations(): number {
    return this.#violations
  }

  /** Adds a waiter and looks for work for it. */
  add(waiter: Waiter): void {
    const key = classKey(waiter.facts)
    let runnerClass = this.#classes.get(key)
    if (!runnerClass) {
      runnerClass = { key, facts: waiter.facts, members: 0, idle: new Set(), meets: new Map(), lucky: false }
      this.#classes.set(key, runnerClass)
    }
    runnerClass.members++
    this.#classOf.set(waiter, runnerClass)
    this.seek(waiter)
  }

  /** Removes a waiter. Safe to repeat. */
  remove(waiter: Waiter): void {
    const runnerClass = this.#classOf.get(waiter)
    if (!runnerClass) return
    this.#classOf.delete(waiter)
    runnerClass.idle.delete(waiter)
    if (--runnerClass.members === 0) this.#classes.delete(runnerClass.key)
  }

  /** Whether the waiter is still here. */
  has(waiter: Waiter): boolean {
    return this.#classOf.has(waiter)
  }

  /**
   * A waiter for a job that becomes pending in `tx`, reserved until the commit settles it; undefined if none fits.
   * `excluded`: managers to pass over. Runners with a limit of jobs are passed over too: only a claim counts them.
   */
  take(
    tx: Tx,
    job: { project: ProjectFacts; demandId: number; demand: Demand },
    excluded?: ReadonlySet<number>,
  ): Waiter | undefined {
    // Nothing is asked inside a transaction.
    if (this.#options.asides.rules) return undefined
    const waiter = this.#pick(job.project, job.demandId, job.demand, { excluded, uncapped: true })
    if (waiter) this.reserve(tx, waiter)
    return waiter
  }

  /** Takes a credit of the waiter for as long as the transaction holds. */
  reserve(tx: Tx, waiter: Waiter): void {
    waiter.reserve()
    this.#classOf.get(waiter)?.idle.delete(waiter)
    this.#settle(waiter)
    tx.onRollback(() => {
      waiter.unreserve()
      this.#settle(waiter)
    })
  }

  /** Takes a credit of the waiter until `unhold`, or until an offer is delivered to it. */
  hold(waiter: Waiter): void {
    waiter.reserve()
    this.#settle(waiter)
  }

  /** Gives the credit back. */
  unhold(waiter: Waiter): void {
    waiter.unreserve()
    this.#settle(waiter)
  }

  /** Hands over an offer whose commit is durable. If nobody is there any more it is void. */
  deliver(claimant: Claimant, offer: Offer): void {
    if (claimant.deliver(offer)) return
    this.#options
      .takeBack(offer)
      .catch((error) => this.#options.log.error({ err: error, job: offer.jobId }, 'taking back an offer failed'))
  }

  /** A job has entered the queue: wakes one fitting waiter, if one waits. */
  jobQueued(project: ProjectFacts, demandId: number): void {
    const demand = this.#options.demands.get(demandId)
    if (!demand) return
    this.#wake(project, demandId, demand)
  }

  /**
   * Wakes the fitting waiters up to the first that is surely idle, and gives that: of one with a limit of jobs only its
   * claim knows, and one of the managers `excluded` from the lane's head can at most take what lies behind it.
   */
  #wake(project: ProjectFacts, demandId: number, demand: Demand, excluded?: ReadonlySet<number>): Waiter | undefined {
    const others: Waiter[] = []
    let idle: Waiter | undefined
    for (const waiter of this.#fitting(project, demandId, demand)) {
      if (waiter.runner.jobLimit === null && !excluded?.has(waiter.managerId)) {
        idle = waiter
        break
      }
      others.push(waiter)
    }
    for (const waiter of others) this.seek(waiter)
    if (idle) this.seek(idle)
    return idle
  }

  /** Looks, whenever the waiter's credits may have grown, for jobs for it until it has no credit left or none fits. One search a waiter at a time. */
  seek(waiter: Waiter): void {
    const running = this.#seeking.get(waiter)
    if (running) {
      running.again = true
      this.#settle(waiter)
      return
    }
    this.#settle(waiter)
    if (waiter.free() <= 0) return
    const state = { again: true }
    this.#seeking.set(waiter, state)
    this.#search(waiter, state)
      .catch((error) => this.#options.log.error({ err: error, runner: waiter.runner.id }, 'looking for a job failed'))
      .finally(() => this.#seeking.delete(waiter))
  }

  /** What the waiter may look for in the store. */
  seekerOf(claimant: Claimant): Seeker {
    const { facts, managerId } = claimant
    const aside = this.#options.asides.ids()
    const runnerClass = this.#classOf.get(claimant as Waiter) ?? { facts, meets: this.#meetsOf(facts) }
    const demandIds = this.#demandsMetBy(runnerClass)
    return { facts, managerId, demandIds, ...(aside.length > 0 ? { aside } : {}) }
  }

  /** Heals lost wake-ups, and checks that nothing eligible stands beside somebody idle for long. */
  async sweep(): Promise<void> {
    const { store, clock, demands, log } = this.#options
    // Other nodes make demands too, and whoever asks for a job is given those that this node knows.
    if (store.engine === 'postgres') await demands.refresh(store.read)
    if (this.#classOf.size === 0) {
      this.#stalledSince.clear()
      return
    }
    const lanes = await waitingLanes(store.read)
    if (lanes.some((lane) => !demands.get(lane.demandId))) await demands.refresh(store.read)
    const stalled = new Set<number>()
    for (const lane of lanes) {
      const project = await projectFacts(store.read, lane.projectId)
      const demand = demands.get(lane.demandId)
      if (!project || !demand || !this.#pick(project, lane.demandId, demand)) continue
      const excluded = await excludedManagers(store.read, lane.jobId, clock.now())
      const waiter = this.#wake(project, lane.demandId, demand, excluded)
      if (!waiter || this.#options.asides.has(lane.jobId)) continue
      stalled.add(lane.jobId)
      const since = this.#stalledSince.get(lane.jobId) ?? clock.now()
      this.#stalledSince.set(lane.jobId, since)
      if (clock.now() - since > livenessMs) {
        this.#violations++
        this.#stalledSince.set(lane.jobId, clock.now())
        log.error({ job: lane.jobId, runner: waiter.runner.id }, 'an eligible job stands beside an idle fitting runner')
      }
    }
    for (const jobId of this.#stalledSince.keys()) if (!stalled.has(jobId)) this.#stalledSince.delete(jobId)
  }

  async #search(waiter: Waiter, state: { again: boolean }): Promise<void> {
    const { store, clock, claim } = this.#options
    while (state.again && this.has(waiter) && waiter.free() > 0) {
      state.again = false
      // A look at committed rows first: most searches find nothing, and need no transaction to know it.
      const runnerClass = this.#classOf.get(waiter)
      const worthIt = runnerClass?.lucky || (await findCandidate(store.read, this.seekerOf(waiter), clock.now()))
      const found = worthIt !== undefined && (await claim(waiter))
      if (runnerClass) runnerClass.lucky = found
      if (found) state.again = true
    }
  }

  #pick(
    project: ProjectFacts,
    demandId: number,
    demand: Demand,
    { excluded, uncapped = false }: { excluded?: ReadonlySet<number> | undefined; uncapped?: boolean } = {},
  ): Waiter | undefined {
    for (const waiter of this.#fitting(project, demandId, demand)) {
      if (!(uncapped && waiter.runner.jobLimit !== null) && !excluded?.has(waiter.managerId)) return waiter
    }
    return undefined
  }

  /** Idle waiters that could be given the job, in the order in which they are served. */
  *#fitting(project: ProjectFacts, demandId: number, demand: Demand): Generator<Waiter> {
    for (const runnerClass of this.#classes.values()) {
      if (!serves(runnerClass.facts, project) || !this.#meets(runnerClass, demandId, demand)) continue
      for (const waiter of runnerClass.idle) if (waiter.free() > 0) yield waiter
    }
  }

  /** Puts the waiter among the idle of its class, or takes it out. */
  #settle(waiter: Waiter): void {
    const idle = this.#classOf.get(waiter)?.idle
    if (waiter.free() > 0) idle?.add(waiter)
    else idle?.delete(waiter)
  }

  #meets(runnerClass: Pick<RunnerClass, 'facts' | 'meets'>, demandId: number, demand: Demand): boolean {
    let known = runnerClass.meets.get(demandId)
    if (known === undefined) {
      known = meets(runnerClass.facts, demand)
      runnerClass.meets.set(demandId, known)
    }
    return known
  }

  #meetsOf(facts: RunnerFacts): Map<number, boolean> {
    let meets = this.#metBy.get(facts)
    if (!meets) {
      meets = new Map()
      this.#metBy.set(facts, meets)
    }
    return meets
  }

  #demandsMetBy(runnerClass: Pick<RunnerClass, 'facts' | 'meets'>): number[] {
    const ids: number[] = []
    for (const [id, demand] of this.#options.demands.entries()) if (this.#meets(runnerClass, id, demand)) ids.push(id)
    return ids
  }
}

function classKey(facts: RunnerFacts): string {
  return JSON.stringify([
    facts.type,
    facts.active,
    facts.protectedOnly,
    facts.runUntagged,
    [...facts.tags].sort(),
    [...facts.features].sort(),
    [...facts.projectIds].sort(ascending),
    [...facts.groupIds].sort(ascending),
  ])
}

const ascending = (a: number, b: number) => a - b
