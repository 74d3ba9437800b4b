/** Environments and deployments: where jobs put what they build, and which of them is there now. */
import { createHash } from 'node:crypto'
import type { JobStatus } from './lifecycle/job-machine.js'

export type EnvironmentState = 'available' | 'stopping' | 'stopped'

export interface Environment {
  id: number
  projectId: number
  name: string
  slug: string
  tier: string
  externalUrl: string | null
  description: string | null
  state: EnvironmentState
  autoStopAt: number | null
  createdAt: number
  updatedAt: number
}

export type DeploymentStatus = 'created' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped' | 'blocked'

export interface Deployment {
  id: number
  projectId: number
  environmentId: number
  jobId: number
  iid: number
  ref: string
  tag: number
  sha: string
  userId: number | null
  /** The job of the same pipeline that stops the environment. */
  onStop: string | null
  status: DeploymentStatus
  createdAt: number
  updatedAt: number
  finishedAt: number | null
}

/** The status of a deployment whose job is in this status. */
export function deploymentStatus(job: JobStatus): DeploymentStatus {
  switch (job) {
    case 'running':
    case 'canceling':
      return 'running'
    case 'success':
    case 'failed':
    case 'canceled':
    case 'skipped':
      return job
    default:
      return 'created'
  }
}

const longestName = 255
const allowedName = /^[\w\-/${}. ]+$/

/** Whether an environment can have this name. Rule: gitlab lib/gitlab/regex.rb. */
export function isEnvironmentName(name: string): boolean {
  return name.trim() !== '' && name.length <= longestName && allowedName.test(name) && !/^\/|\/$/.test(name)
}

const longestSlug = 24
const suffixLength = 6

/**
 * A name fit for host names: at most 24 characters of `[a-z0-9-]`, beginning with a letter. What had to be changed gets a
 * suffix of its own, so that no two names share a slug. Rule: gitlab lib/gitlab/slug/environment.rb.
 */
export function environmentSlug(name: string): string {
  const plain = name.toLowerCase().replace(/[^a-z0-9]/g, '-')
  const slug = (/^[a-z]/.test(plain) ? plain : `env-${plain}`).replace(/-{2,}/g, '-').replace(/-$/, '')
  if (slug === name && slug.length <= longestSlug) return slug
  const digest = createHash('sha256').update(name).digest('hex')
  const suffix = BigInt(`0x${digest}`).toString(36).slice(-suffixLength)
  return `${slug.slice(0, longestSlug - suffixLength - 1).replace(/-$/, '')}-${suffix}`
}

/** Asked in order; the first that fits decides. Rule: gitlab app/models/environment.rb. */
const tiers: readonly [RegExp, string][] = [
  [/dev|review|trunk/i, 'development'],
  [/(test|tst|int|ac(ce|)pt|qa|qc|control|quality)/i, 'testing'],
  [/(st(a|)g|mod(e|)l|pre|demo|non)/i, 'staging'],
  [/(pr(o|)d|live)/i, 'production'],
]

/** What kind of environment one of this name is, unless its job says. */
export function guessTier(name: string): string {
  return tiers.find(([pattern]) => pattern.test(name))?.[1] ?? 'other'
}
