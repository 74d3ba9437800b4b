/**
 * What instance runners have done is charged to the top-level namespace of the project, after the job's end. A namespace that
 * has used its minutes up gets nothing more of them until the next month, or until its limit is raised.
 * Rules: gitlab doc/ci/pipelines/instance_runner_compute_minutes.md.
 */
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { type StoredEvent, saveCursor } from '../store/events.js'
import { refreshShares } from '../store/queue.js'
import {
  addUsage,
  type InstanceJob,
  listInstanceJobs,
  listProjectsBelow,
  listRunningInstanceJobs,
  listUsage,
  rootsOf,
  saveOverQuota,
} from '../store/usage.js'
import type { Tx } from '../store/write.js'
import { computeMinutes, graceMinutes, monthOf, type NamespaceUsage } from '../usage.js'
import { dropJob } from './drop-job.js'
import { eventsFor } from './follow-events.js'

const cursor = 'task.count_usage'

/** Charges jobs that have ended, and applies the limits. Returns how many of each. */
export async function countUsage(core: Core): Promise<{ charged: number; dropped: number }> {
  let charged = 0
  for await (const events of eventsFor(core, cursor, core.clock.now())) {
    const ended = events.flatMap((event) =>
      event.kind === 'job.finished' && event.jobId !== null ? [event.jobId] : [],
    )
    const jobs = await listInstanceJobs(core.store.read, ended)
    const roots = await rootsOf(
      core.store.read,
      jobs.map((job) => job.groupId),
    )
    await core.store.write(async (tx) => {
      for (const used of sumsOf(jobs, roots)) await addUsage(tx, used)
      await saveCursor(tx, cursor, (events.at(-1) as StoredEvent).id)
    })
    charged += jobs.length
  }
  return { charged, dropped: await applyLimits(core) }
}

function sumsOf(jobs: readonly InstanceJob[], roots: ReadonlyMap<number, number>): Parameters<typeof addUsage>[1][] {
  const sums = new Map<string, Parameters<typeof addUsage>[1]>()
  for (const { projectId, groupId, startedAt, finishedAt, factor } of jobs) {
    const end = finishedAt ?? startedAt
    const [namespaceId, month] = [roots.get(groupId)!, monthOf(end)]
    const key = `${projectId} ${month}`
    const sum = sums.get(key) ?? { namespaceId, projectId, month, minutes: 0, durationMs: 0, jobs: 0 }
    sum.minutes += computeMinutes(startedAt, end, factor)
    sum.durationMs += Math.max(0, end - startedAt)
    sum.jobs++
    sums.set(key, sum)
  }
  return [...sums.values()]
}

/** Brings projects in line with the limits of their namespaces. Returns how many running jobs were ended. */
async function applyLimits(core: Core): Promise<number> {
  let dropped = 0
  for (const usage of await listUsage(core.store.read, monthOf(core.clock.now()))) {
    const projects = await listProjectsBelow(core.store.read, usage.id)
    const over = usage.limit !== null && usage.minutes >= usage.limit
    for (const { id, overQuota } of projects) {
      if ((overQuota === 1) !== over) await core.store.write((tx) => setOverQuota(core, tx, id, over))
    }
    if (usage.limit !== null) dropped += await dropBeyondGrace(core, usage, projects)
  }
  return dropped
}

/** Step: instance runners take jobs of the project, or no more. */
export async function setOverQuota(core: Core, tx: Tx, projectId: number, over: boolean): Promise<void> {
  await saveOverQuota(tx, projectId, over)
  await refreshShares(tx, projectId)
  if (!over) {
    tx.afterCommit(() => {
      core.dispatcher.sweep().catch((error) => core.log.error({ err: error }, 'looking for jobs failed'))
    })
  }
}

async function dropBeyondGrace(
  core: Core,
  usage: NamespaceUsage,
  projects: readonly { id: number }[],
): Promise<number> {
  const most = usage.limit! + graceMinutes
  const now = core.clock.now()
  const running = await listRunningInstanceJobs(
    core.store.read,
    projects.map((project) => project.id),
  )
  const under = running.reduce((sum, job) => sum + computeMinutes(job.startedAt, now, job.factor), 0)
  if (usage.minutes + under <= most) return 0
  const costly = running.filter((job) => job.factor > 0).map((job) => job.jobId)
  return eachSafely(core.log, 'ending a job without compute minutes', costly, (id) =>
    dropJob(core, id, { reason: 'ci_quota_exceeded', class: 'policy' }),
  )
}
