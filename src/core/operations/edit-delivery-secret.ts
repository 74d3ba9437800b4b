/** The secret that forges sign their deliveries with: one a project, shown when it is made and never again. */
import type { Core } from '../core.js'
import { record } from '../steps/record.js'
import { findDeliverySecret, saveDeliverySecret } from '../store/deliveries.js'
import { getProject } from '../store/projects.js'
import { mintToken } from '../tokens/token.js'

/** Makes the secret, or another in its place; what is signed with the old one is refused from then on. Throws `not_found`. */
export function rotateDeliverySecret(core: Core, input: { projectId: number; userId: number }): Promise<string> {
  return core.store.write(async (tx) => {
    await getProject(tx, input.projectId)
    const secret = mintToken('hook', tx.random)
    await saveDeliverySecret(tx, input.projectId, { secret: core.keys.seal(Buffer.from(secret)), userId: input.userId })
    const data = { hook_secret: true, user: input.userId }
    await record(core, tx, { kind: 'token.created', projectId: input.projectId, data })
    return secret
  })
}

/** No delivery is taken any more. Returns whether one was before. */
export function removeDeliverySecret(core: Core, projectId: number): Promise<boolean> {
  return core.store.write(async (tx) => {
    const removed = await saveDeliverySecret(tx, projectId, null)
    if (removed) await record(core, tx, { kind: 'token.revoked', projectId, data: { hook_secret: true } })
    return removed
  })
}

/** The secret in clear, to check a signature with. */
export async function deliverySecret(core: Core, projectId: number): Promise<string | undefined> {
  const row = await findDeliverySecret(core.store.read, projectId)
  return row && core.keys.open(row.secret).toString('utf8')
}
