/**
 * What a node does before its doors open, the same after a crash and after a stop: the administrator and its token are as
 * the settings say, open leases get a fresh term (nobody could renew while we were away), and what an interrupted
 * run has left half done is finished.
 */
import type { Core } from '../core.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { deleteOtherTokens, findAccessToken, insertAccessToken } from '../store/access-tokens.js'
import { refreshOpenLeases } from '../store/lease-terms.js'
import { listLivingPipelines, listNewPipelines } from '../store/pipelines.js'
import { findProject } from '../store/projects.js'
import { findUser, insertUser, type User } from '../store/users.js'
import { accessScopes, adminTokenName, hashToken, hintOf } from '../tokens/token.js'
import { continuePipelines } from './continue-pipeline.js'
import { joinNode, livingOthers } from './join-node.js'

/** Makes user 1 (`root`) and gives it this token; one that it had before under this name is dead. */
export async function setAdminToken(core: Core, token: string): Promise<User> {
  return core.store.write(async (tx) => {
    const root =
      (await findUser(tx, 1)) ??
      (await insertUser(tx, { username: 'root', name: 'Administrator', email: 'root@localhost', isAdmin: 1 }))
    const hash = hashToken(token)
    await deleteOtherTokens(tx, { userId: root.id, name: adminTokenName, tokenHash: hash })
    if (!(await findAccessToken(tx, hash))) {
      await insertAccessToken(tx, {
        userId: root.id,
        name: adminTokenName,
        tokenHash: hash,
        tokenHint: hintOf(token),
        scopes: accessScopes,
      })
    }
    return root
  })
}

/**
 * Recovers what was open: of this node, and of those that are not there. Runs before the doors do. `httpUrl`: where this
 * node listens.
 */
export async function recoverNode(core: Core, httpUrl = core.externalUrl()): Promise<void> {
  const { stream, twoPhase } = core.settings.leases
  await core.demands.refresh(core.store.read)
  await core.store.write(async (tx) => {
    const others = (await livingOthers(tx, core.node)).map(({ id }) => id)
    await refreshOpenLeases(tx, { stream: stream.acceptWithinMs, other: twoPhase.acceptWithinMs }, others)
    await joinNode(core, tx, httpUrl)
  })
  for (const blobs of [core.artifacts, core.caches]) await blobs.removeUnfinished()
  await pinLivingPipelines(core)
  if (!core.isPaused('initial_pipeline_process')) await processNewPipelines(core)
  await continuePipelines(core)
}

/** First processing of the pipelines that have not had it. Returns their number. */
export async function processNewPipelines(core: Core): Promise<number> {
  const ids = await listNewPipelines(core.store.read)
  for (const id of ids) await core.store.write((tx) => processPipeline(core, tx, id))
  return ids.length
}

/** A crash between the commit of a pipeline and the ref that keeps its commit: the ref is made again. */
async function pinLivingPipelines(core: Core): Promise<void> {
  const { read } = core.store
  for (const one of await listLivingPipelines(read)) {
    const project = await findProject(read, one.projectId)
    if (project) core.repositories.pin(project, one.id, one.sha)
  }
}
