/** Leases: who owns a job, and on what terms. The terms of each door are a table. */
import type { LeaseStatus } from './lifecycle/lease-machine.js'

/**
 * How a runner reached us and how it behaves: a stream of our own, GitLab's two-phase polling or router, one-phase
 * polling, or a request made by hand (curl).
 */
export type Door = 'grpc' | 'websocket' | 'rest_two_phase' | 'rest' | 'rest_by_hand' | 'job_router'

export interface LeaseTerms {
  /** How long an offer waits for its acceptance; null: accepted at once. */
  acceptWithinMs: number | null
  /** How long a lease is held after each contact. */
  heldForMs: number
}

export interface LeaseSettings {
  stream: LeaseTerms & { acceptWithinMs: number }
  twoPhase: LeaseTerms & { acceptWithinMs: number }
  onePhase: LeaseTerms
  byHand: LeaseTerms
  /** `PUT state=pending` moves `accept_by` so far. */
  pendingExtendsMs: number
  /** How long a manager is passed over for a job whose offer to it came to nothing. */
  excludedForMs: number
  /** An offer whose answer seems to be lost on its way waits this many milliseconds longer for its acknowledgement. */
  lostAnswerMs: number
  /** The void offer of this number drops the job. */
  voidOfferLimit: number
  /** Milliseconds that a stream's final report waits for the log bytes that it counts. */
  reportWaitsMs: number
  /** How often a stream renews. */
  renewEveryMs: number
  /** Time between the polite signal of a cancel and the kill. */
  cancelGraceMs: number
}

export const defaultLeaseSettings: LeaseSettings = {
  stream: { acceptWithinMs: 10_000, heldForMs: 60_000 },
  twoPhase: { acceptWithinMs: 30_000, heldForMs: 600_000 },
  onePhase: { acceptWithinMs: null, heldForMs: 600_000 },
  byHand: { acceptWithinMs: null, heldForMs: 3_600_000 },
  pendingExtendsMs: 120_000,
  excludedForMs: 60_000,
  lostAnswerMs: 2000,
  voidOfferLimit: 5,
  reportWaitsMs: 60_000,
  renewEveryMs: 20_000,
  cancelGraceMs: 30_000,
}

/** The terms that hold for a door. */
export function termsOf(door: Door, settings: LeaseSettings): LeaseTerms {
  const byDoor: Record<Door, LeaseTerms> = {
    grpc: settings.stream,
    websocket: settings.stream,
    rest_two_phase: settings.twoPhase,
    job_router: settings.twoPhase,
    rest: settings.onePhase,
    rest_by_hand: settings.byHand,
  }
  return byDoor[door]
}

/** Whether a door is one of our own streams, where offers are accepted by message and renewed. */
export function isStream(door: string): boolean {
  return door === 'grpc' || door === 'websocket'
}

export interface Lease {
  id: number
  jobId: number
  fence: number
  projectId: number
  runnerId: number
  managerId: number
  instanceRunner: number
  node: string
  door: Door
  requestId: string | null
  readonly status: LeaseStatus
  termMs: number
  /** The runner has written something under this lease. */
  written: number
  offeredAt: number
  acceptBy: number | null
  acceptedAt: number | null
  expiresAt: number | null
  endedAt: number | null
  endReason: string | null
  cancelRevision: number
  cancelMode: 'graceful' | 'force' | null
  cancelAcked: number
  /** The final report as JSON: applied, or waiting for log bytes. */
  report: string | null
  reportAt: number | null
}

/** A runner's final word on a job. */
export interface FinalReport {
  state: 'success' | 'failed'
  exitCode: number | null
  failureReason: string | null
  message: string | null
  /** Length in bytes and CRC-32 of the log as the runner sent it; null if it did not say. */
  logLength: number | null
  logCrc32: number | null
}

/** The text under which a report is stored: equal reports give equal text. */
export function reportText(report: FinalReport): string {
  const { state, exitCode, failureReason, message, logLength, logCrc32 } = report
  return JSON.stringify([state, exitCode, failureReason, message, logLength, logCrc32])
}

/** The reverse of `reportText`. */
export function reportFrom(text: string): FinalReport {
  const [state, exitCode, failureReason, message, logLength, logCrc32] = JSON.parse(text)
  return { state, exitCode, failureReason, message, logLength, logCrc32 }
}
