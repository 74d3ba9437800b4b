/**
 * Polls of one machine that share few places. A GitLab Runner with seven `[[runners]]` and `concurrent = 4` has four
 * requests under way at the most (commands/multi.go, `feedRunners`): as long as four of its managers are held, the three
 * others cannot ask, whatever waits for them. So a poll is held only briefly while another manager of the same machine
 * keeps silent.
 */
import type { Clock } from '../core/clock.js'
import { RecentMap } from '../core/recent-map.js'

/** GitLab Runner's own interval between two polls: who has kept silent for longer may be waiting for a place. */
const turnMs = 3000
/** Who has not been heard from for 5 minutes is gone, or has been taken out of the configuration. */
const goneMs = 5 * 60_000
const mostSystems = 50_000

interface Manager {
  seenAt: number
  /** Its polls that are held now. */
  held: number
}

/** The managers that poll this process, by the machine that they say they are on. */
export class SharedSlots {
  readonly #clock: Clock
  readonly #systems = new RecentMap<string, Map<number, Manager>>(mostSystems)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A manager polls. */
  seen(system: string, managerId: number): void {
    this.#of(system, managerId).seenAt = this.#clock.now()
  }

  /** A poll is held from now on. `end` is called when it is to give its place to others. Returns what to call at its end. */
  hold(system: string, managerId: number, end: () => void): () => void {
    this.#of(system, managerId).held++
    let stopClock: () => void = () => undefined
    const arm = () => {
      stopClock = this.#clock.after(turnMs, () => (this.#anySilent(system) ? end() : arm()))
    }
    arm()
    return () => {
      stopClock()
      const manager = this.#of(system, managerId)
      manager.held--
      manager.seenAt = this.#clock.now()
    }
  }

  /** Whether a manager of the machine is neither held nor has been heard from just now. */
  #anySilent(system: string): boolean {
    const now = this.#clock.now()
    const managers = this.#systems.get(system)
    for (const [id, { seenAt, held }] of managers ?? []) {
      if (held > 0) continue
      if (now - seenAt > goneMs) managers?.delete(id)
      else if (now - seenAt >= turnMs) return true
    }
    return false
  }

  #of(system: string, managerId: number): Manager {
    let managers = this.#systems.get(system)
    if (!managers) {
      managers = new Map()
      this.#systems.set(system, managers)
    }
    let manager = managers.get(managerId)
    if (!manager) {
      manager = { seenAt: this.#clock.now(), held: 0 }
      managers.set(managerId, manager)
    }
    return manager
  }
}
