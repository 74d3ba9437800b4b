/** Who sends a request: the owner of an access token or of a session, or a job by its own token. */

import type { Actor } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import { sessionEnd, sessionTimes } from '../session.js'
import { findAccessToken } from '../store/access-tokens.js'
import { findJob } from '../store/jobs.js'
import { findLease } from '../store/leases.js'
import { findSession, touchSession } from '../store/sessions.js'
import { cellOf } from '../tokens/cell.js'
import type { JobTokenScope } from '../tokens/job-token.js'
import { accessScopes, hashToken } from '../tokens/token.js'

/**
 * A token of another cell has been sent astray, and may be good there. Throws `unavailable`, so that whoever sent it tries
 * again, and does not give up as for a wrong one.
 */
export function refuseForeign(core: Core, token: string): void {
  const cell = core.settings.cell === null ? undefined : cellOf(token)
  if (cell === undefined || cell === core.settings.cell) return
  throw new SignalboxError('unavailable', `this token belongs to cell ${cell}`, { details: { cell } })
}

/** The user of an access token. Throws `unauthenticated` for one that is unknown, revoked, expired, or a blocked user's. */
export async function authenticateUser(core: Core, token: string): Promise<Actor> {
  const found = token === '' ? undefined : await findAccessToken(core.store.read, hashToken(token))
  if (!found) refuseForeign(core, token)
  const now = core.clock.now()
  const alive = found && found.revokedAt === null && (found.expiresAt === null || found.expiresAt > now)
  if (!alive || found.user.state !== 'active') throw new SignalboxError('unauthenticated', '401 Unauthorized')
  return { user: found.user, scopes: new Set(JSON.parse(found.scopes)), tokenId: found.id }
}

/**
 * The user of a session's token, who may do all that a token may; undefined for one that has ended, or whose user is blocked.
 * That it is in use is written down from time to time.
 */
export async function authenticateSession(core: Core, token: string): Promise<Actor | undefined> {
  const found = await findSession(core.store.read, hashToken(token))
  const now = core.clock.now()
  if (!found || found.session.expiresAt <= now || found.user.state !== 'active') return undefined
  const { session, user } = found
  if (now - session.seenAt >= sessionTimes.noteEveryMs) {
    // Where nothing can be written for the moment, people can still look at what there is.
    await core.store
      .write((tx) => touchSession(tx, session.id, sessionEnd(session.createdAt, now)))
      .catch((error) => core.log.error({ err: error, session: session.id }, 'the use of a session was not noted'))
  }
  return { user, scopes: sessionScopes, sessionId: session.id }
}

const sessionScopes: ReadonlySet<string> = new Set(accessScopes)

/** A job that proved by its token that its lease is open. */
export interface JobActor {
  job: Job
  lease: Lease
}

/**
 * The job of a job token for this use, as long as its lease is open. Throws `unauthenticated` for a token that is not one
 * of ours, is for other uses, or another job's than `jobId`; `fenced` with `details.jobStatus` when its lease is not open
 * any more.
 */
export async function authenticateJob(
  core: Core,
  token: string,
  scope: JobTokenScope,
  jobId?: number,
): Promise<JobActor> {
  const claims = core.readJobToken(token, core.clock.now())
  if (claims?.cell !== (core.settings.cell ?? undefined)) refuseForeign(core, token)
  if (!claims?.scopes.includes(scope) || (jobId !== undefined && claims.jobId !== jobId)) {
    throw new SignalboxError('unauthenticated', '403 Forbidden')
  }
  const [job, lease] = await Promise.all([
    findJob(core.store.read, claims.jobId),
    findLease(core.store.read, claims.jobId, claims.fence),
  ])
  const open = lease?.status === 'held' || lease?.status === 'offered'
  if (!job || !lease || !open || job.erasedAt !== null) {
    throw new SignalboxError('fenced', 'this lease is not open', { details: { jobStatus: job?.status ?? null, lease } })
  }
  return { job, lease }
}
