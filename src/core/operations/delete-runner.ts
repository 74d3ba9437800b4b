/** A runner, or one of its managers, leaves. What it runs goes on until its lease or job ends. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { record } from '../steps/record.js'
import { deleteManager as deleteManagerRow, deleteRunner as deleteRow, getRunner } from '../store/runners.js'

/** Throws `not_found`. */
export function deleteRunner(core: Core, runnerId: number): Promise<void> {
  return core.store.write(async (tx) => {
    await getRunner(tx, runnerId)
    await deleteRow(tx, runnerId)
    await record(core, tx, { kind: 'runner.deleted', runnerId })
  })
}

/** Throws `not_found`. */
export function deleteManager(core: Core, runnerId: number, systemId: string): Promise<void> {
  return core.store.write(async (tx) => {
    if (!(await deleteManagerRow(tx, runnerId, systemId))) {
      throw new SignalboxError('not_found', `runner ${runnerId} has no manager ${JSON.stringify(systemId)}`)
    }
  })
}
