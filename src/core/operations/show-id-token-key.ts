/** The public half of the key that signs ID tokens, for those who check them. */

import type { Core } from '../core.js'
import { idTokenKey } from '../steps/id-token-key.js'
import type { IdTokenKey } from '../tokens/id-token.js'

/** Makes the key when it is first asked for. */
export async function idTokenJwk(core: Core): Promise<IdTokenKey['jwk']> {
  return (await core.store.write((tx) => idTokenKey(core, tx))).jwk
}
