/** A user changes a runner: pauses it, resumes it, gives it other tags… */
import type { Core } from '../core.js'
import type { Runner } from '../runner.js'
import { record } from '../steps/record.js'
import { updateRunner as updateRow } from '../store/runners.js'
import { hashToken, hintOf, mintToken } from '../tokens/token.js'
import { type CreateRunnerInput, checkedSettings, requireTagsOrUntagged } from './create-runner.js'

/** Returns the runner as it is now. Throws `not_found`; `invalid` with `details.field`. Connections of it follow at once. */
export function updateRunner(
  core: Core,
  input: { runnerId: number } & Omit<CreateRunnerInput, 'type' | 'projectId' | 'groupId' | 'registered'>,
): Promise<Runner> {
  return core.store.write(async (tx) => {
    const runner = await updateRow(tx, input.runnerId, checkedSettings(input))
    requireTagsOrUntagged(runner)
    await record(core, tx, { kind: 'runner.changed', runnerId: runner.id, data: { active: runner.active === 1 } })
    return runner
  })
}

/** Gives the runner a new token; the old one is dead. Throws `not_found`. */
export function resetRunnerToken(core: Core, runnerId: number): Promise<{ runner: Runner; token: string }> {
  return core.store.write(async (tx) => {
    const before = await updateRow(tx, runnerId, {})
    const kind = before.registered === 1 ? 'registeredRunner' : (`${before.type}Runner` as const)
    const token = mintToken(kind, tx.random, core.settings.cell)
    const runner = await updateRow(tx, runnerId, { tokenHash: hashToken(token), tokenHint: hintOf(token) })
    await record(core, tx, { kind: 'runner.changed', runnerId, data: { token: true } })
    return { runner, token }
  })
}
