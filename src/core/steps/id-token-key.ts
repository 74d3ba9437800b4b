/**
 * Step: the key that signs ID tokens. It is made when it is first asked for, and kept sealed in the store, where all nodes
 * find it. Where the key file is a new one the old key cannot be opened: another takes its place.
 */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import { findMeta, setMeta } from '../store/meta.js'
import type { Tx } from '../store/write.js'
import { type IdTokenKey, idTokenKeyFrom, issueIdToken, makeIdTokenKey } from '../tokens/id-token.js'

const name = 'id_token_key'

/** Returns the key, the same one on all nodes. It reaches this node's memory when the transaction is committed. */
export async function idTokenKey(core: Core, tx: Tx): Promise<IdTokenKey> {
  const known = core.memory.idTokenKey
  if (known) return known
  const stored = await findMeta(tx, name)
  const kept = stored === undefined ? undefined : opened(core, stored)
  const key = kept ?? (await made(core, tx, stored))
  tx.afterCommit(() => {
    core.memory.idTokenKey = key
  })
  return key
}

/** A new key, unless another node is quicker. `before`: what stands in the store. */
async function made(core: Core, tx: Tx, before: string | undefined): Promise<IdTokenKey> {
  const key = makeIdTokenKey()
  const mine = await setMeta(tx, name, core.keys.seal(key.pkcs8).toString('base64'), before)
  const theirs = mine ? undefined : opened(core, (await findMeta(tx, name)) ?? '')
  return theirs ?? key
}

/** Makes the tokens of a lease out of what the job's payload says of them. */
export async function idTokenSigner(
  core: Core,
  tx: Tx,
  job: Job,
  lease: Pick<Lease, 'fence' | 'runnerId' | 'offeredAt'>,
): Promise<(encoded: string) => string> {
  const key = await idTokenKey(core, tx)
  const moment = {
    jobId: job.id,
    fence: lease.fence,
    runnerId: lease.runnerId,
    issuedAt: lease.offeredAt,
    timeoutS: job.timeoutS ?? 0,
  }
  return (encoded) => issueIdToken(key, encoded, moment)
}

function opened(core: Core, sealed: string): IdTokenKey | undefined {
  try {
    return idTokenKeyFrom(core.keys.open(Buffer.from(sealed, 'base64')))
  } catch {
    return undefined
  }
}
