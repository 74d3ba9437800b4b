/**
 * When a job counts as stuck, and what it is failed with. GitLab changed both in 19.x; a profile says which rules hold.
 * Rules: gitlab app/services/ci/stuck_builds/drop_{pending,running,canceling,scheduled}_service.rb,
 * app/services/ci/timed_out_builds/drop_running_service.rb.
 */
import type { FailureReason } from './failure.js'

export const stuckProfiles = ['classic', 'granular'] as const
export type StuckProfile = (typeof stuckProfiles)[number]

/** Thresholds in milliseconds. */
export interface StuckSettings {
  profile: StuckProfile
  /** Milliseconds that a job may be pending, whatever runners there are. */
  pendingMs: number
  /** Milliseconds that it may be pending while no runner that could take it is online. */
  unmatchedMs: number
  /** Milliseconds that it may be silent when it runs under a request made by hand. Other doors end with their lease. */
  runningMs: number
  /** The same while being canceled. */
  cancelingMs: number
  /** Milliseconds that a delayed job may be late. */
  scheduledMs: number
  /** Milliseconds that it may run beyond its timeout: the runner should have ended it. */
  overTimeoutMs: number
  /** Milliseconds after which `stuck_ci_jobs` has `drop_running` follow, then `drop_scheduled`, then `drop_canceling`. */
  spacingMs: number
}

const minute = 60_000
const hour = 60 * minute

/** The thresholds of a profile. */
export function stuckSettings(profile: StuckProfile): StuckSettings {
  const silentMs = profile === 'classic' ? hour : 30 * minute
  return {
    profile,
    pendingMs: 24 * hour,
    unmatchedMs: hour,
    runningMs: silentMs,
    cancelingMs: silentMs,
    scheduledMs: hour,
    overTimeoutMs: 15 * minute,
    spacingMs: 15 * minute,
  }
}

/** How a job can be stuck. */
export type StuckCase =
  | 'pending'
  | 'unmatched'
  | 'running'
  | 'canceling'
  | 'scheduled'
  | 'running_over_timeout'
  | 'canceling_over_timeout'

export const stuckReasons: Record<StuckProfile, Record<StuckCase, FailureReason>> = {
  classic: {
    pending: 'stuck_or_timeout_failure',
    unmatched: 'stuck_or_timeout_failure',
    running: 'stuck_or_timeout_failure',
    canceling: 'stuck_or_timeout_failure',
    scheduled: 'stale_schedule',
    running_over_timeout: 'job_execution_timeout',
    canceling_over_timeout: 'job_execution_timeout',
  },
  granular: {
    pending: 'stuck_pending_with_matching_runners',
    unmatched: 'stuck_pending_no_matching_runners',
    running: 'no_updates_running',
    canceling: 'no_updates_canceling',
    scheduled: 'stale_schedule',
    running_over_timeout: 'server_timeout_running',
    canceling_over_timeout: 'server_timeout_canceling',
  },
}
