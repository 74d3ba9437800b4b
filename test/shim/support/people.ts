import { insertAccessToken } from '../../../src/core/store/access-tokens.js'
import { insertUser, type User } from '../../../src/core/store/users.js'
import { hashToken, hintOf, mintToken } from '../../../src/core/tokens/token.js'
import type { ShimBox } from './box.js'

/** A user who is no administrator, with a token of these scopes. */
export async function person(
  box: ShimBox,
  username: string,
  scopes: string[] = ['api'],
): Promise<{ user: User; token: string; headers: Record<string, string> }> {
  return box.core.core.store.write(async (tx) => {
    const user = await insertUser(tx, { username, name: username, email: `${username}@example.com`, isAdmin: 0 })
    const token = mintToken('access', tx.random)
    await insertAccessToken(tx, {
      userId: user.id,
      name: 't',
      tokenHash: hashToken(token),
      tokenHint: hintOf(token),
      scopes,
    })
    return { user, token, headers: { 'PRIVATE-TOKEN': token } }
  })
}

/** Another token of the administrator, with these scopes only. */
export async function adminTokenWith(box: ShimBox, scopes: string[]): Promise<string> {
  return box.core.core.store.write(async (tx) => {
    const token = mintToken('access', tx.random)
    const row = {
      userId: box.core.admin.id,
      name: scopes.join(' '),
      tokenHash: hashToken(token),
      tokenHint: hintOf(token),
      scopes,
    }
    await insertAccessToken(tx, row)
    return token
  })
}
