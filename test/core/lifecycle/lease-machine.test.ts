import { describe, expect, it } from 'vitest'
import {
  type LeaseEvent,
  type LeaseStatus,
  leaseEvents,
  leaseStatuses,
  nextLeaseStatus,
} from '../../../src/core/lifecycle/lease-machine.js'

const expected: Record<LeaseStatus, Partial<Record<LeaseEvent, LeaseStatus>>> = {
  offered: { accept: 'held', refuse: 'refused', expire: 'expired', release: 'refused' },
  held: { release: 'released', expire: 'expired' },
  released: {},
  refused: {},
  expired: {},
}

describe('the lease machine', () => {
  for (const status of leaseStatuses) {
    for (const event of leaseEvents) {
      it(`answers ${event} in ${status}`, () => {
        expect(nextLeaseStatus(event, status)).toBe(expected[status][event])
      })
    }
  }
})
