/** A project has nothing to do with its forge any more: it keeps its code and history, and is pushed to from now on. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { ForgeError } from '../forge.js'
import { deleteStatuses } from '../store/forge-statuses.js'
import { findConnection } from '../store/forges.js'
import { SealError } from '../tokens/keys.js'
import { accessOf, forget } from './connect-project.js'
import { setMirrorIn } from './fetch-mirror.js'

/**
 * Returns what is left on the forge, in one sentence: a webhook that could not be removed, whose deliveries are refused from now on.
 * Throws `not_found` for a project that is not connected.
 */
export async function disconnectProject(core: Core, projectId: number): Promise<string | undefined> {
  const known = await findConnection(core.store.read, projectId)
  if (!known) throw new SignalboxError('not_found', 'the project is not connected to a forge')
  let left: string | undefined
  try {
    if (known.hookId !== null) await core.forges.removeHook(accessOf(core, known), known.hookId)
  } catch (error) {
    if (!(error instanceof ForgeError || error instanceof SealError)) throw error
    left = `the webhook is still at ${known.baseUrl}/${known.repository}: ${error.message}`
  }
  await core.store.write(async (tx) => {
    await deleteStatuses(tx, projectId)
    await setMirrorIn(core, tx, projectId, null)
    await forget(core, tx, projectId)
  })
  return left
}
