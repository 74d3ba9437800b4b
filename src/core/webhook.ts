/** Webhooks of projects: addresses that are told of what happens to jobs and pipelines. */

export interface Webhook {
  id: number
  projectId: number
  name: string
  description: string
  jobEvents: boolean
  pipelineEvents: boolean
  /** Whether the certificate of an https address must be good. */
  verifiesTls: boolean
  /** Messages in a row that came to nothing. */
  failures: number
  /** Told nothing until then; null: it is not switched off. */
  disabledUntil: number | null
  createdAt: number
  /** Sealed: both may hold secrets. */
  sealed: Uint8Array
}

/** What is sealed in a webhook. */
export interface WebhookSecrets {
  url: string
  /** Sent as `X-Gitlab-Token`; null: none. */
  token: string | null
}

export type WebhookEvent = 'Job Hook' | 'Pipeline Hook'

/** One message to one address. */
export interface WebhookMessage {
  id: number
  webhookId: number
  event: WebhookEvent
  /** The same over all tries. */
  uuid: string
  body: string
  attempts: number
  dueAt: number
}

/** The name under which the place in the events is kept. */
export const webhookCursor = 'webhooks'

/** Waits before the second, third and fourth try; after that it is given up. */
export const retryWaitsMs = [10_000, 60_000, 300_000] as const

const failuresAllowed = 4
const firstPauseMs = 60_000
const longestPauseMs = 24 * 3_600_000

/**
 * How long an address is left alone, in milliseconds, after `failures` messages in a row came to nothing; 0: not at all.
 * Rule: https://docs.gitlab.com/user/project/integrations/webhooks/#auto-disabled-webhooks
 */
export function pauseAfter(failures: number): number {
  if (failures < failuresAllowed) return 0
  return Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - failuresAllowed))
}
