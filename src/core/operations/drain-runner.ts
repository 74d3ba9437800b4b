/** An operator takes a runner out of service: it gets nothing more, and what it has goes on to its end. */
import type { Core } from '../core.js'
import { countOpenLeasesOf, getRunner } from '../store/runners.js'
import { updateRunner } from './update-runner.js'

/** Pauses the runner. Returns how many jobs it still has, offers that it may yet accept among them. Throws `not_found`. */
export async function drainRunner(core: Core, runnerId: number): Promise<number> {
  const runner = await getRunner(core.store.read, runnerId)
  if (runner.active === 1) await updateRunner(core, { runnerId, paused: true })
  return countOpenLeasesOf(core.store.read, runnerId)
}
