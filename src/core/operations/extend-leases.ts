/** This node was away for a while, and could hear nobody: open leases get that time back. */
import type { Core } from '../core.js'
import { extendOpenLeases } from '../store/lease-terms.js'

/** `awayMs`: for how long. Done once for each absence, by `Absence`. */
export function extendLeases(core: Core, awayMs: number): Promise<void> {
  return core.store.write((tx) => extendOpenLeases(tx, awayMs, core.settings.leases.pendingExtendsMs))
}
