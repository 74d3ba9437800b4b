/** A few values that were sealed with the key file, newest first: to see whether a key file is the right one. */
import { findMeta } from './meta.js'
import type { Reader } from './write.js'

/** Returns at most one sealed value of each kind; none in a database that is new. */
export async function sealedSamples(from: Reader): Promise<Uint8Array[]> {
  const pipeline = await from.db
    .selectFrom('pipelines')
    .select('variables as sealed')
    .where('variables', 'is not', null)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  const variable = await from.db
    .selectFrom('variables')
    .select('value as sealed')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  const idTokenKey = await findMeta(from, 'id_token_key')
  return [
    pipeline?.sealed,
    variable?.sealed,
    idTokenKey === undefined ? undefined : Buffer.from(idTokenKey, 'base64'),
  ].filter((sealed) => sealed != null)
}
