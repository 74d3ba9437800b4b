/**
 * Whose turn it is: who is served first, what may begin, how often is tried again, and what a sweep may take. The rules are
 * said here a second time, in other words than the coordinator's own.
 */
import type { JobStatus } from '../core/lifecycle/job-machine.js'
import { compositeStatus } from '../core/lifecycle/pipeline-status.js'
import { each, type Invariant, isOpen, type Moment, partsOf, type Row } from './moment.js'

type Job = Row<'jobs'>

/** What must have become of the jobs before, for a job to begin by itself. */
const accepted: Readonly<Record<string, readonly JobStatus[]>> = {
  on_success: ['success', 'skipped'],
  manual: ['success', 'skipped'],
  delayed: ['success', 'skipped'],
  on_failure: ['failed'],
  always: ['success', 'failed', 'skipped'],
}

const sweptAfterMs = 3_600_000

export const turnInvariants: readonly Invariant[] = [
  {
    name: 'each name has its current job',
    broken: ({ now }) => {
      const nameOf = (job: Job) => `${job.name} of pipeline ${job.pipeline_id}`
      const current = new Set(now.jobs.filter((job) => job.retried === 0).map(nameOf))
      return each(now.jobs, (job) => (current.has(nameOf(job)) ? undefined : `${nameOf(job)} has none`))
    },
  },
  {
    name: 'the share of a project decides, then the age of a job',
    broken: (moment) => {
      const lease = onlyChange(moment)
      const chosen = lease && moment.before!.jobs.find((job) => job.id === lease.job_id && job.in_queue === 1)
      if (!lease || !chosen) return undefined
      const { type } = moment.camera.runnerOf(lease.runner_id)
      const shares = new Map(moment.before!.projects.map((project) => [project.id, project.instance_jobs]))
      const share = (job: Job) => (type === 'instance' ? shares.get(job.project_id)! : 0)
      const better = waitingFor(moment, lease).find(
        (job) => share(job) < share(chosen) || (share(job) === share(chosen) && job.id < chosen.id),
      )
      return better && `runner ${lease.runner_id} was given job ${chosen.id} (${share(chosen)}) before job ${better.id}`
    },
  },
  {
    name: 'a job begins when those before it let it',
    broken: ({ before, now, camera }) => {
      if (!before || now.jobs.some((job, i) => job.retried !== (before.jobs[i]?.retried ?? 0))) return undefined
      const known = new Map(before.jobs.map((job) => [job.id, job.status]))
      return each(now.jobs, (job) => {
        if ((known.get(job.id) ?? 'created') !== 'created') return undefined
        if (job.status === 'created' || job.status === 'skipped' || job.status === 'canceled') return undefined
        const needs = job.scheduling === 'dag' ? camera.needsOf(job.id) : undefined
        const earlier = now.jobs.filter(
          (one) =>
            one.pipeline_id === job.pipeline_id &&
            one.retried === 0 &&
            (needs ? needs.has(one.name) : one.stage_position < job.stage_position),
        )
        const status = compositeStatus(partsOf(earlier), needs ? 'needs' : 'plain')
        // In the mode of needs, what was skipped is no success.
        const lets =
          accepted[job.run_when]?.includes(status) && !(needs && status === 'skipped' && job.run_when !== 'always')
        return lets ? undefined : `job ${job.id} (${job.run_when}) is ${job.status} after ${status}`
      })
    },
  },
  {
    name: 'nothing is tried by itself more often than it says',
    broken: ({ before, now, camera }) => {
      if (!before || now.jobs.length === before.jobs.length) return undefined
      return each(now.jobs.slice(before.jobs.length), (job) => {
        if (job.retry_of === null || camera.isRetriedByHand(job.id)) return undefined
        const earlier = now.jobs.filter(
          (one) => one.pipeline_id === job.pipeline_id && one.name === job.name && one.id < job.id,
        ).length
        const { most, reason } = camera.retriesOf(job.id)
        const allowed = Math.max(most, reason === 'scheduler_failure' ? 2 : 0)
        return earlier <= allowed ? undefined : `job ${job.id} is retry ${earlier} of ${allowed}`
      })
    },
  },
  {
    name: 'a sweep takes only what is old',
    broken: ({ before, now, world }) => {
      const { born } = world.oracle
      const known = new Set(before?.jobs.map((job) => job.id))
      for (const job of now.jobs)
        if (!known.has(job.id)) born.set(job.id, { at: world.time.monotonic(), life: world.lives })
      const failed = new Set(before?.jobs.filter((job) => job.status === 'failed').map((job) => job.id))
      return each(now.jobs, (job) => {
        const swept = job.failure_reason === 'stuck_or_timeout_failure' || job.failure_reason === 'stale_schedule'
        const from = born.get(job.id)!
        // A process that begins anew takes the wall clock as it is set then.
        if (!swept || failed.has(job.id) || from.life !== world.lives) return undefined
        const age = world.time.monotonic() - from.at
        return age < sweptAfterMs ? `job ${job.id} failed (${job.failure_reason}) ${age} ms after it came` : undefined
      })
    },
  },
]

/** The lease that was made in this step, if no other was made and none has ended. */
function onlyChange({ before, now }: Moment): Row<'leases'> | undefined {
  if (!before || now.leases.length !== before.leases.length + 1) return undefined
  const same = before.leases.every((lease, i) => isOpen(lease) === isOpen(now.leases[i]!))
  return same ? now.leases.at(-1) : undefined
}

/** Jobs that waited through the whole step and that the runner of the lease could have had. */
function waitingFor({ before, now, camera }: Moment, lease: Row<'leases'>): Job[] {
  const runner = camera.runnerOf(lease.runner_id)
  const waited = new Set(before!.jobs.filter((job) => job.in_queue === 1).map((job) => job.id))
  return now.jobs.filter((job) => {
    if (job.in_queue !== 1 || !waited.has(job.id)) return false
    if (runner.type === 'project' && !runner.projectIds.has(job.project_id)) return false
    const { asked, has, untagged } = camera.tagsOf(job.id, lease.runner_id)
    if (!asked.every((tag) => has.includes(tag)) || (asked.length === 0 && !untagged)) return false
    return !now.leases.some(
      (one) =>
        one.job_id === job.id && one.manager_id === lease.manager_id && (one.excluded_until ?? 0) > lease.offered_at,
    )
  })
}
