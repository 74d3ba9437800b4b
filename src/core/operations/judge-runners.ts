/** Which runners could take a job, and what keeps the others from it. */
import type { Core } from '../core.js'
import { onlineMs, type Runner } from '../runner.js'
import { judgeRunner, nearestFirst } from '../scheduler/diagnose.js'
import type { Demand } from '../scheduler/match.js'
import { projectFacts } from '../store/projects.js'
import { listManagers, listRunners } from '../store/runners.js'
import { runnerFacts } from './contact-runner.js'

/** A runner, and in sentences what keeps it from the job. */
export interface JudgedRunner {
  id: number
  description: string
  fits: boolean
  lacks: string[]
}

const mostRunners = 1000

/** All runners, those first that lack least for jobs of the project that ask for this. */
export async function judgeRunners(core: Core, projectId: number, demand: Demand): Promise<JudgedRunner[]> {
  const { read } = core.store
  const project = (await projectFacts(read, projectId))!
  const judged: JudgedRunner[] = []
  for (const runner of await listRunners(read, { limit: mostRunners, offset: 0 })) {
    judged.push(await judge(runner))
  }
  return nearestFirst(judged)

  /** A runner is as good as the best of its processes. */
  async function judge(runner: Runner): Promise<JudgedRunner> {
    const managers = await listManagers(read, runner.id)
    const none = { executor: '', platform: '', architecture: '', features: '[]', contactedAt: 0 }
    const results = []
    for (const manager of managers.length > 0 ? managers : [none]) {
      const facts = await runnerFacts(core, runner, { ...manager, features: JSON.parse(manager.features) })
      const online = manager.contactedAt > core.clock.now() - onlineMs
      results.push(judgeRunner(facts, project, demand, online))
    }
    const [best] = nearestFirst(results)
    return { id: runner.id, description: runner.description, fits: best!.lacks.length === 0, lacks: best!.lacks }
  }
}

/** One sentence on a job that waits for one of these; `place`: among those of its kind. */
export function summaryFor(runners: readonly JudgedRunner[], place: number): string {
  const fitting = runners.filter((runner) => runner.fits)
  if (fitting.length > 0) {
    const many =
      fitting.length === 1 ? '1 runner that could take it is' : `${fitting.length} runners that could take it are`
    return `${many} online, and busy or limited; it is number ${place} of its kind in the queue.`
  }
  const [nearest] = runners
  if (!nearest) return 'There are no runners.'
  return `No runner that is online can take it. The nearest, ${nearest.id} (${nearest.description}), ${nearest.lacks.join(', and ')}.`
}
