/** The queue with a reason for each place. */
import { type Actor, can } from '../authorize.js'
import type { Core } from '../core.js'
import type { Demand } from '../scheduler/match.js'
import { getProject } from '../store/projects.js'
import { listQueue, type QueuedJob } from '../store/queue-list.js'
import { type JudgedRunner, judgeRunners, summaryFor } from './judge-runners.js'

/** A job that waits, and why. */
export interface QueuePlace extends QueuedJob {
  tags: readonly string[]
  /** How many runners could take it, if they were free. */
  fitting: number
  reason: string
}

/** So many jobs are told of, and so many kinds of jobs are compared with the runners. */
const most = { jobs: 300, kinds: 50 }

/** What waits in projects that the actor may operate, in order. Nothing is changed. */
export async function explainQueue(core: Core, actor: Actor): Promise<QueuePlace[]> {
  const { read } = core.store
  const mayOperate = new Map<number, boolean>()
  const kinds = new Map<string, { demand: Demand; runners: JudgedRunner[]; count: number }>()
  const places: QueuePlace[] = []
  await core.demands.refresh(read)
  for (const job of await listQueue(read, most.jobs)) {
    const may =
      mayOperate.get(job.projectId) ?? (await can(core, actor, 'operate', await getProject(read, job.projectId)))
    mayOperate.set(job.projectId, may)
    const demand = core.demands.get(job.demandId)
    if (!may || !demand) continue
    const key = `${job.projectId} ${job.demandId}`
    const known = kinds.get(key)
    if (!known && kinds.size >= most.kinds) continue
    const kind = known ?? { demand, runners: await judgeRunners(core, job.projectId, demand), count: 0 }
    kinds.set(key, kind)
    kind.count++
    const fitting = kind.runners.filter((runner) => runner.fits).length
    places.push({ ...job, tags: demand.tags, fitting, reason: summaryFor(kind.runners, kind.count) })
  }
  return places
}
