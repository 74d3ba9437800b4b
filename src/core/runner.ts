/** Runners (registered identities) and their managers (the processes that use one). */
export type RunnerType = 'instance' | 'group' | 'project'

export interface Runner {
  id: number
  type: RunnerType
  tokenHash: string
  tokenHint: string
  tokenExpiresAt: number | null
  registered: number
  description: string
  maintenanceNote: string | null
  active: number
  locked: number
  runUntagged: number
  protectedOnly: number
  /** Canonical JSON list. */
  tags: string
  maximumTimeoutS: number | null
  /** Jobs at once, over all its managers; null: as many as they take. */
  jobLimit: number | null
  createdAt: number
  contactedAt: number | null
}

export interface RunnerManager {
  id: number
  runnerId: number
  systemId: string
  name: string
  version: string
  revision: string
  platform: string
  architecture: string
  executor: string
  /** JSON list of the runner features that hold. */
  features: string
  ipAddress: string | null
  createdAt: number
  contactedAt: number
}

/** What a manager says of itself: `info` of the polling API, or Hello. */
export interface ManagerInfo {
  systemId: string
  name: string
  version: string
  revision: string
  platform: string
  architecture: string
  executor: string
  features: string[]
  ipAddress: string | null
  /** It said nothing of itself but its name: what is known of it stays. */
  silent?: boolean
}

/** Under which `system_id` runners are filed that send none. */
export const legacySystemId = '<legacy>'

export type RunnerStatus = 'online' | 'offline' | 'stale' | 'never_contacted' | 'paused'

/** A runner heard from within this time is online. */
export const onlineMs = 2 * 3_600_000
/** One neither made nor heard from within this time is stale. */
export const staleMs = 7 * 24 * 3_600_000

/**
 * The status of a runner as GitLab's REST shows it. Rule: gitlab app/models/concerns/ci/has_runner_status.rb.
 */
export function runnerStatus(
  runner: { active: number; createdAt: number; contactedAt: number | null },
  now: number,
): RunnerStatus {
  if (Math.max(runner.createdAt, runner.contactedAt ?? 0) <= now - staleMs) return 'stale'
  if (runner.contactedAt === null) return 'never_contacted'
  if (runner.active === 0) return 'paused'
  return runner.contactedAt > now - onlineMs ? 'online' : 'offline'
}

const tagLimit = 50
const tagLength = 255

/**
 * Tags in canonical form: trimmed, without blanks and doubles, sorted. Takes a list or GitLab's comma-separated text.
 * Returns undefined for more than 50 tags, or one of more than 255 characters.
 */
export function canonicalTags(given: string | readonly string[]): string[] | undefined {
  const parts = typeof given === 'string' ? given.split(',') : given.flatMap((tag) => tag.split(','))
  const tags = [...new Set(parts.map((tag) => tag.trim()).filter((tag) => tag !== ''))].sort()
  return tags.length > tagLimit || tags.some((tag) => tag.length > tagLength) ? undefined : tags
}
