/** The secret that forges sign their webhooks with: one a project, shown when it is made and never again. */
import type { Core } from '../core.js'
import { findHookSecret, saveHookSecret } from '../store/hooks.js'
import { getProject } from '../store/projects.js'
import { mintToken } from '../tokens/token.js'

/** Makes the secret, or another in its place; what is signed with the old one is refused from then on. Throws `not_found`. */
export function rotateHookSecret(core: Core, input: { projectId: number; userId: number }): Promise<string> {
  return core.store.write(async (tx) => {
    await getProject(tx, input.projectId)
    const secret = mintToken('hook', tx.random)
    await saveHookSecret(tx, input.projectId, { secret: core.keys.seal(Buffer.from(secret)), userId: input.userId })
    return secret
  })
}

/** No webhook is taken any more. Returns whether one was before. */
export function removeHookSecret(core: Core, projectId: number): Promise<boolean> {
  return core.store.write((tx) => saveHookSecret(tx, projectId, null))
}

/** The secret in clear, to check a signature with. */
export async function hookSecret(core: Core, projectId: number): Promise<string | undefined> {
  const row = await findHookSecret(core.store.read, projectId)
  return row && core.keys.open(row.secret).toString('utf8')
}
