/**
 * Tells the connection of a manager, in this process, what has become of its leases. It only hastens: what it says is in
 * the store, and a connection that missed it reads it there at its next attach or renewal.
 */
import type { Lease } from './lease.js'

export interface LeaseListener {
  /** A cancel is wanted: `lease.cancelMode`, `lease.cancelRevision`. */
  cancelWanted(lease: Lease): void
  /** The lease is over, and not by the runner's own report. */
  leaseEnded(lease: Lease, reason: string): void
  /** The job that the lease was for has its final status. */
  jobFinished(lease: { jobId: number; fence: number }, jobStatus: string): void
}

export class LeaseSignals {
  readonly #listeners = new Map<number, LeaseListener>()

  /** One listener a manager: a newer one takes the place of the older. */
  listen(managerId: number, listener: LeaseListener): () => void {
    this.#listeners.set(managerId, listener)
    return () => {
      if (this.#listeners.get(managerId) === listener) this.#listeners.delete(managerId)
    }
  }

  /** Managers that are listened for: those with an open connection to this process. */
  managerIds(): number[] {
    return [...this.#listeners.keys()]
  }

  of(managerId: number): LeaseListener | undefined {
    return this.#listeners.get(managerId)
  }
}
