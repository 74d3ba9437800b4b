/**
 * Jobs handed to runners that have not acknowledged them yet. An answer that is lost on its way leaves no trace with its
 * sender but these two:
 *
 * - the connection that carried it closes, though it could have carried more;
 * - the same manager asks for another job: it acknowledges one before it asks again (gitlab-runner commands/multi.go,
 *   `requestJob`). Behind a proxy that keeps its own connections this is the only one.
 *
 * Either makes the answer doubtful. What is then not acknowledged within `lostAnswerMs` is void, and offered again; an
 * acknowledgement that comes later is refused, before the runner has begun. Without either, the offer's own time decides.
 */
import type { Core } from '../core/core.js'
import { voidOffer } from '../core/operations/void-offer.js'
import type { Offer } from '../core/payload/offer.js'
import { RecentMap } from '../core/recent-map.js'
import { findLease } from '../core/store/leases.js'

/** A connection that carries one answer after the other. */
export interface Carrier {
  once(event: 'close', listener: () => void): unknown
}

/** Not the payload, which would be kept for as long as the connection. */
type Named = Pick<Offer, 'leaseId' | 'jobId' | 'fence'>

interface HandOut {
  offer: Named
  /** Set while it is in doubt. */
  stopClock?: () => void
}

const mostManagers = 50_000

/** What this process has handed out over its polling doors. */
export class HandOuts {
  readonly #core: Core
  /** By manager, and there by lease: an offer that is answered again has one entry, the newer. */
  readonly #open = new RecentMap<number, Map<number, HandOut>>(mostManagers)
  /** The last job that a connection has carried: whoever sent another request over it had read the answer before. */
  readonly #lastBy = new WeakMap<Carrier, { managerId: number; handOut: HandOut }>()
  #closed = false

  constructor(core: Core) {
    this.#core = core
  }

  /** An offer has been answered to this manager. `carrier`: absent where its end would say nothing. */
  sent(managerId: number, { leaseId, jobId, fence }: Offer, carrier?: Carrier): void {
    const offer = { leaseId, jobId, fence }
    const open = this.#open.get(managerId) ?? new Map<number, HandOut>()
    open.get(offer.leaseId)?.stopClock?.()
    const handOut: HandOut = { offer }
    open.set(offer.leaseId, handOut)
    this.#open.set(managerId, open)
    if (!carrier) return
    const known = this.#lastBy.has(carrier)
    this.#lastBy.set(carrier, { managerId, handOut })
    if (known) return
    carrier.once('close', () => {
      const last = this.#lastBy.get(carrier)
      if (last) this.#doubt(last.managerId, last.handOut)
    })
  }

  /** The manager asks for a job: what it was given before, it has by now or never will. */
  askedAgain(managerId: number): void {
    for (const handOut of [...(this.#open.get(managerId)?.values() ?? [])]) this.#doubt(managerId, handOut)
  }

  /** Takes an offer back now: its answer could not even be sent. */
  takeBack(offer: Named): void {
    voidOffer(this.#core, offer, 'undeliverable').catch((error) =>
      this.#core.log.error({ err: error, job: offer.jobId }, 'taking back an offer failed'),
    )
  }

  /** Doubts nothing any more: the offers' own times go on. */
  close(): void {
    this.#closed = true
    for (const open of this.#open.values()) for (const handOut of open.values()) handOut.stopClock?.()
  }

  #doubt(managerId: number, handOut: HandOut): void {
    if (this.#closed || handOut.stopClock || this.#open.get(managerId)?.get(handOut.offer.leaseId) !== handOut) return
    handOut.stopClock = () => undefined
    this.#startClock(managerId, handOut).catch((error) =>
      this.#core.log.error({ err: error, job: handOut.offer.jobId }, 'a lost answer could not be looked into'),
    )
  }

  /** Most have been acknowledged long ago, and cost a look. */
  async #startClock(managerId: number, handOut: HandOut): Promise<void> {
    const { store, clock, settings } = this.#core
    const { offer } = handOut
    const lease = await findLease(store.read, offer.jobId, offer.fence)
    const open = this.#open.get(managerId)
    if (this.#closed || open?.get(offer.leaseId) !== handOut) return
    const forget = () => {
      open.delete(offer.leaseId)
      if (open.size === 0) this.#open.delete(managerId)
    }
    if (lease?.status !== 'offered' || lease.written === 1) return forget()
    handOut.stopClock = clock.after(settings.leases.lostAnswerMs, () => {
      forget()
      this.takeBack(offer)
    })
  }
}
