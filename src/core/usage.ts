/**
 * Compute minutes: how long instance runners have worked for a namespace, weighed by what they cost. Rules: gitlab
 * doc/ci/pipelines/compute_minutes.md, doc/ci/pipelines/instance_runner_compute_minutes.md.
 */

/** What a minute of a runner counts: for jobs of public projects, and of all others. */
export interface CostFactors {
  public: number
  private: number
}

export const defaultCostFactors: CostFactors = { public: 0, private: 1 }

/** Running jobs may go on until their namespace has used 1,000 minutes more than it has. */
export const graceMinutes = 1000

/** What a job costs that ran from `startedAt` to `finishedAt`, in milliseconds. Never negative. */
export function computeMinutes(startedAt: number, finishedAt: number, factor: number): number {
  return (Math.max(0, finishedAt - startedAt) / 60_000) * factor
}

/** The month that a time falls into, in UTC: `2026-01`. */
export function monthOf(time: number): string {
  return new Date(time).toISOString().slice(0, 7)
}

/** Used minutes of a namespace, beside what it may use. */
export interface NamespaceUsage {
  id: number
  path: string
  minutes: number
  /** Null: as many as it likes. */
  limit: number | null
  projects: { id: number; path: string | null; minutes: number; durationMs: number; jobs: number }[]
}

/** How much is left: a share of the limit below which people should be told; undefined: enough, or no limit. */
export function warningFor(usage: Pick<NamespaceUsage, 'minutes' | 'limit'>): 'low' | 'very_low' | 'none' | undefined {
  if (usage.limit === null) return undefined
  const left = usage.limit - usage.minutes
  if (left <= 0) return 'none'
  if (left < usage.limit * 0.05) return 'very_low'
  return left < usage.limit * 0.25 ? 'low' : undefined
}
