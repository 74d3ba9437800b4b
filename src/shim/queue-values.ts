/**
 * Queue values: what `X-GitLab-Last-Update` carries. A poll that brings the value of its manager back has seen the answer
 * that went with it, so it may be held; any other is answered at once. Each value is used once: it holds a random part
 * from the start of the process and a counter, behind the cell if there are cells. A manager gets another one when its runner's settings change, when a hold
 * ends without a job, and with every start of the process.
 *
 * Values are the managers', not the runner's: many processes may poll with one runner's token, and one of them being told
 * something new must not make the others' values old.
 */
import { randomBytes } from 'node:crypto'
import type { Core } from '../core/core.js'
import { runnerFacts } from '../core/operations/contact-runner.js'
import { RecentMap } from '../core/recent-map.js'
import type { Runner, RunnerManager } from '../core/runner.js'
import type { RunnerFacts } from '../core/scheduler/match.js'
import { queueValuePrefix } from '../core/tokens/cell.js'

/** A manager as it was when it last polled. */
export interface Poller {
  readonly managerId: number
  readonly runnerId: number
  value: string
  facts: RunnerFacts
  /** What `facts` were made of. */
  seen: { runner: Runner; features: string; capabilities: number }
}

const mostPollers = 50_000

/** The queue values of the managers that poll this process. */
export class QueueValues {
  readonly #core: Core
  readonly #pollers = new RecentMap<number, Poller>(mostPollers)
  readonly #boot = randomBytes(8).toString('hex')
  #count = 0

  constructor(core: Core) {
    this.#core = core
  }

  /** The poller of a manager that polls now; its value is new if anything that matters to a match is. */
  async of(runner: Runner, manager: RunnerManager): Promise<Poller> {
    const known = this.#pollers.get(manager.id)
    const { version } = this.#core.capabilityChanges
    const same =
      known !== undefined &&
      isSame(known.seen.runner, runner) &&
      known.seen.features === manager.features &&
      known.seen.capabilities === version
    // The projects and groups that a runner serves are rows of their own.
    if (same && runner.type === 'instance') return known
    const facts = await runnerFacts(this.#core, runner, { ...manager, features: JSON.parse(manager.features) })
    if (same && sameScope(known.facts, facts)) return known
    const seen = { runner, features: manager.features, capabilities: version }
    const poller = known ?? { managerId: manager.id, runnerId: runner.id, value: '', facts, seen }
    Object.assign(poller, { value: this.#next(), facts, seen })
    this.#pollers.set(manager.id, poller)
    return poller
  }

  /** Gives a manager a new value. */
  renew(poller: Poller): string {
    poller.value = this.#next()
    return poller.value
  }

  /** Something has changed in the runner: none of its managers' values holds any more. */
  runnerChanged(runnerId: number): void {
    for (const poller of this.#pollers.values()) if (poller.runnerId === runnerId) this.renew(poller)
  }

  #next(): string {
    return queueValuePrefix(this.#core.settings.cell) + this.#boot + (++this.#count).toString(16).padStart(16, '0')
  }
}

/** Whether two rows of a runner let it take the same jobs on the same terms. */
function isSame(a: Runner, b: Runner): boolean {
  if (a === b) return true
  return (
    a.active === b.active &&
    a.tags === b.tags &&
    a.runUntagged === b.runUntagged &&
    a.protectedOnly === b.protectedOnly &&
    a.maximumTimeoutS === b.maximumTimeoutS &&
    a.description === b.description &&
    a.locked === b.locked &&
    a.tokenHash === b.tokenHash
  )
}

function sameScope(a: RunnerFacts, b: RunnerFacts): boolean {
  return sameSet(a.projectIds, b.projectIds) && sameSet(a.groupIds, b.groupIds)
}

function sameSet(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one))
}
