/** Which runners, heard from lately, could take a job of this kind: asked of the matcher's own predicates. */
import type { Core } from '../core.js'
import { onlineMs, type Runner } from '../runner.js'
import { type Demand, meets, type ProjectFacts, type RunnerFacts, serves } from '../scheduler/match.js'
import { runnersById } from '../store/related.js'
import { listManagersHeard, type OnlineManager } from '../store/sweeps.js'
import { runnerFacts } from './contact-runner.js'

/** A runner's process that is online, and what the matcher sees of it. */
export interface OnlineRunner {
  runner: Runner
  manager: OnlineManager
  facts: RunnerFacts
}

/** Every process heard from in the last two hours. */
export async function listOnlineRunners(core: Core): Promise<OnlineRunner[]> {
  const { read } = core.store
  const managers = await listManagersHeard(read, core.clock.now() - onlineMs)
  const runners = await runnersById(
    read,
    managers.map((manager) => manager.runnerId),
  )
  const online: OnlineRunner[] = []
  for (const manager of managers) {
    const runner = runners.get(manager.runnerId)
    if (!runner) continue
    const facts = await runnerFacts(core, runner, { ...manager, features: JSON.parse(manager.features) })
    online.push({ runner, manager, facts })
  }
  return online
}

/** Whether one of them could take a job of the project with this demand. */
export function anyFits(online: readonly OnlineRunner[], project: ProjectFacts, demand: Demand): boolean {
  return online.some(({ facts }) => serves(facts, project) && meets(facts, demand))
}
