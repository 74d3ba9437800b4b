/** Tells one project's forge what it does not know yet, one status after the other, and what to do about each kind of trouble. */
import type { Core } from '../core/core.js'
import { type ForgeConnection, ForgeError } from '../core/forge.js'
import { followRepository } from '../core/operations/check-connection.js'
import { accessOf } from '../core/operations/connect-project.js'
import {
  claimStatus,
  listDueStatuses,
  putOffStatus,
  type StatusRow,
  settleStatus,
} from '../core/store/forge-statuses.js'
import { findConnection, updateConnection } from '../core/store/forges.js'
import { findProject } from '../core/store/projects.js'
import { SealError } from '../core/tokens/keys.js'

const batch = 100
/** Longer than a request may take: whoever tells a status is alone with it. */
const claimMs = 20_000
/** A forge that is away is asked after 2 s, then after twice as long each time. */
const firstWaitMs = 2_000
const longestWaitMs = 300_000
/** A token that may not is tried again, for its rights may be given back. */
const refusedWaitMs = 600_000
/** What is older is of no use to anybody any more. */
const giveUpAfterMs = 7 * 24 * 3_600_000

/** Returns how many the forge has taken, or will never take; ends early where the forge wants to be left alone. */
export async function tellProject(core: Core, projectId: number, stops: () => boolean): Promise<number> {
  const { store, clock } = core
  let told = 0
  for (const { id } of await listDueStatuses(store.read, projectId, clock.now(), batch)) {
    if (stops()) return told
    const connection = await findConnection(store.read, projectId)
    if (!connection || connection.pausedUntil > clock.now()) return told
    const row = await store.write((tx) => claimStatus(tx, id, tx.now + claimMs))
    if (!row) continue
    if (!(await tell(core, connection, row))) return told
    told++
  }
  return told
}

/** Returns whether to go on with the next. */
async function tell(core: Core, connection: ForgeConnection, row: StatusRow): Promise<boolean> {
  const { store } = core
  try {
    const { jobId, pipelineId, sha, ref, context, state, description } = row
    const targetUrl = await pageOf(core, row.projectId, { jobId, pipelineId })
    await core.forges.report(accessOf(core, connection), { sha, ref, context, state, description, targetUrl })
  } catch (error) {
    return settleTrouble(core, connection, row, troubleOf(error))
  }
  await store.write(async (tx) => {
    await settleStatus(tx, row, null)
    if (connection.failures > 0 || connection.error !== null) {
      await updateConnection(tx, row.projectId, { failures: 0, error: null, pausedUntil: 0 })
    }
  })
  return true
}

function troubleOf(error: unknown): ForgeError {
  if (error instanceof ForgeError) return error
  if (error instanceof SealError) return new ForgeError('refused', error.message)
  return new ForgeError('away', 'it could not be told because of a fault here')
}

async function settleTrouble(
  core: Core,
  connection: ForgeConnection,
  row: StatusRow,
  error: ForgeError,
): Promise<boolean> {
  const { trouble, message, waitMs } = error
  const { store, clock, log } = core
  log.warn({ project: row.projectId, status: row.id, trouble, why: message }, 'a forge was not told')
  if (clock.now() - row.updatedAt > giveUpAfterMs) {
    await store.write((tx) => settleStatus(tx, row, `given up: ${message}`))
    return true
  }
  if (trouble === 'moved' || trouble === 'missing') return settleMissing(core, connection, row, error)
  if (trouble === 'rejected') {
    await store.write((tx) => settleStatus(tx, row, message))
    return true
  }
  const failures = connection.failures + 1
  const wait =
    trouble === 'refused'
      ? refusedWaitMs
      : (waitMs ?? Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(failures - 1, 20)))
  await pause(core, row, { message, failures, wait })
  return false
}

/** Either the repository is elsewhere, or it has no such commit. */
async function settleMissing(
  core: Core,
  connection: ForgeConnection,
  row: StatusRow,
  { message }: ForgeError,
): Promise<boolean> {
  const failures = connection.failures + 1
  try {
    switch (await followRepository(core, connection)) {
      case 'moved':
        await core.store.write((tx) => putOffStatus(tx, row.id, tx.now, message))
        return true
      case 'there':
        await core.store.write((tx) => settleStatus(tx, row, message))
        return true
      case 'gone':
        await pause(core, row, { message, failures, wait: refusedWaitMs })
    }
  } catch (error) {
    await pause(core, row, { message: troubleOf(error).message, failures, wait: firstWaitMs })
  }
  return false
}

/** Nothing is told for a while: whatever has kept this one back would keep back the others. */
async function pause(
  core: Core,
  row: StatusRow,
  { message, failures, wait }: { message: string; failures: number; wait: number },
): Promise<void> {
  await core.store.write(async (tx) => {
    const until = tx.now + wait
    await putOffStatus(tx, row.id, tx.now, message)
    await updateConnection(tx, row.projectId, { error: message, failures, pausedUntil: until })
  })
}

/** Where people read more. */
async function pageOf(
  core: Core,
  projectId: number,
  { jobId, pipelineId }: Pick<StatusRow, 'jobId' | 'pipelineId'>,
): Promise<string> {
  const project = await findProject(core.store.read, projectId)
  const home = `${core.externalUrl()}/${project?.fullPath ?? ''}`
  if (jobId !== null) return `${home}/-/jobs/${jobId}`
  return pipelineId === 0 ? home : `${home}/-/pipelines/${pipelineId}`
}
