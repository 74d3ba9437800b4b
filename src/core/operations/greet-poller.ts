/**
 * A manager polls: its token is checked and its contact noted, as `authenticateRunner` and `contactRunner` do, in one look
 * at the store as long as nothing about it has changed.
 */
import type { Core } from '../core.js'
import type { ManagerInfo, Runner, RunnerManager } from '../runner.js'
import { findPollerStamp } from '../store/runners.js'
import { hashToken } from '../tokens/token.js'
import { authenticateRunner, contactEveryMs, contactRunner } from './contact-runner.js'

/** What a poll says of the machine that it comes from. */
export interface Poller {
  /** The same objects as before, as long as nothing in them has changed but the times of contact. */
  runner: Runner
  manager: RunnerManager
}

/** Throws `unauthenticated` for a token that is unknown or has expired. */
export async function greetPoller(core: Core, token: string, info: ManagerInfo): Promise<Poller> {
  const { read } = core.store
  const hash = hashToken(token)
  const { pollers } = core.memory
  const key = `${hash} ${info.systemId}`
  const row = token === '' ? undefined : await findPollerStamp(read, hash, info.systemId)
  const before = pollers.get(key)
  const now = core.clock.now()
  if (row && before?.stamp === row.stamp && isSame(before.info, info) && now - row.contactedAt < contactEveryMs) {
    if (before.runner.tokenExpiresAt === null || before.runner.tokenExpiresAt > now) return before
  }
  const runner = await authenticateRunner(core, token)
  const manager = await contactRunner(core, runner, info)
  // The stamp is older than the rows: if they have changed in between, the next poll reads them again.
  if (row) pollers.set(key, { runner, manager, stamp: row.stamp, info })
  return { runner, manager }
}

function isSame(a: ManagerInfo, b: ManagerInfo): boolean {
  return (
    a === b ||
    (a.silent === b.silent &&
      a.version === b.version &&
      a.name === b.name &&
      a.revision === b.revision &&
      a.executor === b.executor &&
      a.platform === b.platform &&
      a.architecture === b.architecture &&
      a.ipAddress === b.ipAddress &&
      a.features.length === b.features.length &&
      a.features.every((feature, i) => feature === b.features[i]))
  )
}
