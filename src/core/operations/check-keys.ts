/**
 * Whether the key file is the one that the store was sealed with: a value sealed with it stands in the store, and must open.
 * Without this a lost or another key file shows job by job, when a runner asks.
 */

import { boundaryProof } from '../audit.js'
import { lockAuditHead, saveAuditBoundary } from '../store/audit.js'
import { findMeta, setMeta } from '../store/meta.js'
import { sealedSamples } from '../store/sealed-samples.js'
import type { Reader, Store } from '../store/write.js'
import { type Keys, SealError } from '../tokens/keys.js'

const name = 'key_check'
const content = Buffer.from('signalbox')

/** Whether anything in the store was sealed, so that only the key that did it will do. */
export async function needsOldKey(read: Reader): Promise<boolean> {
  return (await findMeta(read, name)) !== undefined || (await sealedSamples(read)).length > 0
}

/** Whether the keys open what is in the store; true for a store without anything sealed. */
export async function keysFit(read: Reader, keys: Keys): Promise<boolean> {
  const check = await findMeta(read, name)
  if (check !== undefined) return opens(keys, Buffer.from(check, 'base64'))
  // A store of a version that kept no check value; parts of it may have been sealed with an older key.
  const samples = await sealedSamples(read)
  return samples.length === 0 || samples.some((sealed) => opens(keys, sealed))
}

/** Keeps a check value, unless there is one. Another node may be quicker: ask `keysFit` again. */
export async function keepKeyCheck(store: Store, keys: Keys): Promise<void> {
  if ((await findMeta(store.read, name)) !== undefined) return
  await store.write((tx) => setMeta(tx, name, sealedCheck(keys), undefined))
}

/**
 * From now on these keys are the right ones, whatever was sealed with others: that is lost. How far the audit log goes is noted,
 * so that nobody passes off later entries as made before.
 */
export async function acceptKeys(store: Store, keys: Keys): Promise<void> {
  await store.write(async (tx) => {
    await setMeta(tx, name, sealedCheck(keys), await findMeta(tx, name))
    const head = await lockAuditHead(tx)
    await saveAuditBoundary(tx, head, boundaryProof(keys, head))
  })
}

const sealedCheck = (keys: Keys) => keys.seal(content).toString('base64')

function opens(keys: Keys, sealed: Uint8Array): boolean {
  try {
    keys.open(sealed)
    return true
  } catch (error) {
    if (error instanceof SealError) return false
    throw error
  }
}
