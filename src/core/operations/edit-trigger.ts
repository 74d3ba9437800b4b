/** Users make, describe and delete trigger tokens. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { record } from '../steps/record.js'
import { deleteTrigger as deleteRow, findTrigger, insertTrigger, saveTrigger, type Trigger } from '../store/triggers.js'
import { hashToken, hintOf, mintToken } from '../tokens/token.js'

/** Returns the trigger and its token, which is shown this once. */
export function createTrigger(
  core: Core,
  input: { projectId: number; ownerId: number; description: string },
): Promise<{ trigger: Trigger; token: string }> {
  return core.store.write(async (tx) => {
    const token = mintToken('trigger', tx.random, core.settings.cell)
    const trigger = await insertTrigger(tx, { ...input, tokenHash: hashToken(token), tokenHint: hintOf(token) })
    const data = { trigger: trigger.id, user: input.ownerId }
    await record(core, tx, { kind: 'token.created', projectId: input.projectId, data })
    return { trigger, token }
  })
}

/** Throws `not_found`. */
export function updateTrigger(core: Core, triggerId: number, description: string): Promise<Trigger> {
  return core.store.write(async (tx) => {
    await saveTrigger(tx, triggerId, { description })
    const trigger = await findTrigger(tx, triggerId)
    if (!trigger) throw new SignalboxError('not_found', `no trigger ${triggerId}`)
    return trigger
  })
}

/** From now on its token starts nothing. */
export async function deleteTrigger(core: Core, triggerId: number): Promise<void> {
  await core.store.write(async (tx) => {
    const trigger = await findTrigger(tx, triggerId)
    if (!trigger) return
    await deleteRow(tx, triggerId)
    const data = { trigger: triggerId, user: trigger.ownerId }
    await record(core, tx, { kind: 'token.revoked', projectId: trigger.projectId, data })
  })
}
