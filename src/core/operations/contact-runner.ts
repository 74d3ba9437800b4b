/** A manager is heard from: its row is made or brought up to date, its capabilities are known from here on. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { ManagerInfo, Runner, RunnerManager } from '../runner.js'
import type { RunnerFacts } from '../scheduler/match.js'
import { findManager, findRunnerByToken, runnerScope, saveContact, saveManager } from '../store/runners.js'
import type { Reader } from '../store/write.js'
import { hashToken } from '../tokens/token.js'
import { refuseForeign } from './authenticate.js'

/** The runner that a token belongs to. Throws `unauthenticated` for a token that is unknown or has expired. */
export async function authenticateRunner(core: Core, token: string): Promise<Runner> {
  const runner = token === '' ? undefined : await findRunnerByToken(core.store.read, hashToken(token))
  if (!runner) refuseForeign(core, token)
  if (!runner || (runner.tokenExpiresAt !== null && runner.tokenExpiresAt <= core.clock.now())) {
    throw new SignalboxError('unauthenticated', 'no runner has this token')
  }
  return runner
}

/** A row is written again only if what it says has changed, or its time of contact is older than this. */
export const contactEveryMs = 40 * 60_000

/**
 * Makes or refreshes the manager's row. Writes only when something has changed or the last contact on record is old, so
 * that thousands of idle polls cost no commit.
 */
export async function contactRunner(core: Core, runner: Runner, info: ManagerInfo): Promise<RunnerManager> {
  const known = await findManager(core.store.read, runner.id, info.systemId)
  if (!known || !(info.silent === true || same(known, info)))
    return core.store.write((tx) => saveManager(tx, runner.id, info))
  if (core.clock.now() - known.contactedAt < contactEveryMs) return known
  await core.store.write((tx) => saveContact(tx, runner.id, known.id))
  return known
}

/** What the matcher looks at in a runner and its manager. */
export async function runnerFacts(
  core: Core,
  runner: Runner,
  manager: Pick<ManagerInfo, 'executor' | 'platform' | 'architecture' | 'features'>,
  from: Reader = core.store.read,
): Promise<RunnerFacts> {
  const scope = runner.type === 'instance' ? { projectIds: [], groupIds: [] } : await runnerScope(from, runner.id)
  return {
    type: runner.type,
    active: runner.active === 1,
    protectedOnly: runner.protectedOnly === 1,
    runUntagged: runner.runUntagged === 1,
    tags: new Set<string>(JSON.parse(runner.tags)),
    features: new Set([...manager.features, ...(await core.capabilitiesOf(manager))]),
    projectIds: new Set(scope.projectIds),
    groupIds: new Set(scope.groupIds),
  }
}

function same(row: RunnerManager, info: ManagerInfo): boolean {
  return (
    row.version === info.version &&
    row.executor === info.executor &&
    row.name === info.name &&
    row.revision === info.revision &&
    row.platform === info.platform &&
    row.architecture === info.architecture &&
    (info.ipAddress === null || row.ipAddress === info.ipAddress) &&
    row.features === JSON.stringify(info.features)
  )
}
