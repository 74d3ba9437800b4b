/** Leases that a runner did not mention when it came back, each with the time until which it may. */
import { keyOf } from './convert.js'

type LeaseKey = { jobId: number; fence: number }

export class Suspects {
  readonly #until = new Map<string, LeaseKey & { until: number }>()

  /** `until` in milliseconds of running, as `clock.ran` counts. */
  add(leases: readonly LeaseKey[], until: number): void {
    for (const { jobId, fence } of leases) this.#until.set(keyOf({ jobId, fence }), { jobId, fence, until })
  }

  mentioned(leases: readonly LeaseKey[]): void {
    for (const lease of leases) this.#until.delete(keyOf(lease))
  }

  /** Takes out and returns those whose time is over at `now`. */
  due(now: number): LeaseKey[] {
    const due = [...this.#until.values()].filter(({ until }) => until <= now)
    this.mentioned(due)
    return due
  }
}
