/**
 * What must hold after every step, each rule under its name. Most are those of property tests for a coordinator of GitLab's
 * lifecycle: one owner, final is final, a log is its owner's, statuses are folds, nobody is forgotten.
 */
import { crc32 } from 'node:zlib'
import { is, type JobStatus } from '../core/lifecycle/job-machine.js'
import { compositeStatus, nextPipelineStatus } from '../core/lifecycle/pipeline-status.js'
import { each, type Invariant, isOpen, leaseName, type Moment, partsOf, type Row } from './moment.js'
import { logOf } from './oracle.js'
import type { Picture } from './picture.js'
import { turnInvariants } from './turn-invariants.js'

const eachJob =
  (says: (job: Row<'jobs'>, moment: Moment, leases: Row<'leases'>[]) => string | undefined) => (moment: Moment) => {
    const byJob = new Map<number, Row<'leases'>[]>()
    for (const lease of moment.now.leases) {
      const own = byJob.get(lease.job_id)
      if (own) own.push(lease)
      else byJob.set(lease.job_id, [lease])
    }
    return each(moment.now.jobs, (job) => {
      const wrong = says(job, moment, byJob.get(job.id) ?? [])
      return wrong === undefined ? undefined : `job ${job.id} (${job.status}): ${wrong}`
    })
  }

const eachChangedJob =
  (says: (from: Row<'jobs'>, to: Row<'jobs'>) => string | undefined) =>
  ({ before, now }: Moment) => {
    if (!before) return undefined
    const known = new Map(before.jobs.map((job) => [job.id, job]))
    return each(now.jobs, (job) => {
      const from = known.get(job.id)
      const wrong = from && says(from, job)
      return wrong === undefined ? undefined : `job ${job.id}: ${wrong}`
    })
  }

const currentOf = ({ jobs }: Picture, pipelineId: number) =>
  jobs.filter((job) => job.pipeline_id === pipelineId && job.retried === 0)

export const invariants: readonly Invariant[] = [
  {
    name: 'one open lease a job',
    broken: eachJob((_, __, leases) => (leases.filter(isOpen).length > 1 ? 'has more than one open lease' : undefined)),
  },
  {
    name: 'one holder a job',
    broken: eachJob((_, __, leases) =>
      leases.filter((lease) => lease.accepted_at !== null).length > 1 ? 'has been held twice' : undefined,
    ),
  },
  {
    name: 'fences rise by one',
    broken: eachJob((job, _, leases) =>
      job.fence !== leases.length || leases.some((lease, i) => lease.fence !== i + 1)
        ? 'fences are not its leases’'
        : undefined,
    ),
  },
  {
    name: 'an ended lease stays ended',
    broken: ({ before, now }) => {
      const ended = new Set(before?.leases.filter((lease) => !isOpen(lease)).map((lease) => lease.id))
      return each(now.leases, (lease) =>
        isOpen(lease) && ended.has(lease.id) ? `${leaseName(lease)} is open again` : undefined,
      )
    },
  },
  {
    name: 'held is running',
    broken: eachJob((job, _, leases) =>
      job.kind === 'build' && leases.some((lease) => lease.status === 'held') !== is('executing', job.status)
        ? 'lease and status disagree'
        : undefined,
    ),
  },
  {
    name: 'queued is pending and not offered',
    broken: eachJob((job, _, leases) =>
      job.kind === 'build' && (job.in_queue === 1) !== (job.status === 'pending' && !leases.some(isOpen))
        ? 'queue and status disagree'
        : undefined,
    ),
  },
  {
    name: 'a payload is kept while its job waits, and at the longest while it may run',
    broken: ({ now }) => {
      const payloads = new Set(now.payloads.map((row) => row.job_id))
      return each(now.jobs, (job) => {
        const kept = payloads.has(job.id)
        const mayRun = job.kind === 'build' && (job.status === 'pending' || is('executing', job.status))
        const fault =
          (kept !== (job.payload_kept === 1) && 'its row says otherwise') ||
          (!kept && job.in_queue === 1 && 'missing') ||
          (kept && !mayRun && 'left')
        return fault ? `job ${job.id} (${job.status}): payload ${fault}` : undefined
      })
    },
  },
  { name: 'a payload is its own pipeline’s', broken: foreignPayload },
  { name: 'memory holds nothing but what is committed', broken: rememberedTooEarly },
  {
    name: 'a created job was never handed out',
    broken: eachJob((job, _, leases) => (job.status === 'created' && leases.length > 0 ? 'has leases' : undefined)),
  },
  {
    name: 'final is final',
    // A trigger job copies its pipeline's status, which may come to life again.
    broken: eachChangedJob((from, to) =>
      from.kind === 'build' &&
      is('finished', from.status) &&
      (from.status !== to.status || from.finished_at !== to.finished_at)
        ? `${from.status} → ${to.status}`
        : undefined,
    ),
  },
  {
    name: 'running never waits again',
    broken: eachChangedJob((from, to) =>
      from.kind === 'build' && is('executing', from.status) && !is('executing', to.status) && !is('finished', to.status)
        ? `${from.status} → ${to.status}`
        : undefined,
    ),
  },
  {
    name: 'canceling ends canceled',
    broken: eachChangedJob((from, to) =>
      from.kind === 'build' && from.status === 'canceling' && to.status !== 'canceling' && to.status !== 'canceled'
        ? `ended ${to.status}`
        : undefined,
    ),
  },
  {
    name: 'history is kept',
    broken: ({ before, now }) => {
      const jobs = new Map(now.jobs.map((job) => [job.id, job]))
      return each(before?.jobs ?? [], (job) =>
        jobs.has(job.id) && (job.retried === 0 || jobs.get(job.id)!.retried === 1)
          ? undefined
          : `job ${job.id} is gone, or current again`,
      )
    },
  },
  {
    name: 'one current job a name',
    broken: ({ now }) => {
      const names = new Set<string>()
      return each(now.jobs, (job) => {
        if (job.retried === 1) return undefined
        const name = `${job.pipeline_id} ${job.name}`
        if (names.has(name)) return `two current jobs ${job.name} in pipeline ${job.pipeline_id}`
        names.add(name)
        return undefined
      })
    },
  },
  {
    name: 'times are in order',
    broken: eachJob(({ kind, created_at, queued_at, started_at, finished_at, status }) => {
      if (kind !== 'build') return undefined
      const times = [created_at, queued_at, started_at, finished_at].filter((at) => at !== null)
      if (times.some((at, i) => i > 0 && at < times[i - 1]!)) return `times ${times.join(' ')}`
      return is('finished', status) === (finished_at !== null) ? undefined : 'finished, and when, disagree'
    }),
  },
  {
    name: 'a failure has a reason',
    broken: eachJob((job) =>
      (job.status === 'failed') === (job.failure_reason !== null) ? undefined : `reason ${job.failure_reason}`,
    ),
  },
  { name: 'a status is the fold of its jobs', broken: ({ now }) => foldsOf(now) },
  {
    name: 'a completed pipeline has no living job',
    broken: ({ now }) =>
      each(now.pipelines, (pipeline) => {
        if (!is('completed', pipeline.status)) return undefined
        const alive = currentOf(now, pipeline.id).find((job) => is('alive', job.status))
        return alive && `pipeline ${pipeline.id} (${pipeline.status}): job ${alive.id} is ${alive.status}`
      }),
  },
  {
    name: 'one job a resource',
    broken: ({ now }) =>
      each(now.resource_groups, (group) => {
        const using = now.jobs.filter(
          (job) =>
            job.project_id === group.project_id &&
            job.resource_key === group.key &&
            (job.status === 'preparing' || job.status === 'pending' || is('executing', job.status)),
        )
        if (using.length > 1) return `${group.key} is used by ${using.map((job) => job.id).join(', ')}`
        return using.length === 1 && group.holder_job_id !== using[0]!.id
          ? `${group.key} is not job ${using[0]!.id}’s`
          : undefined
      }),
  },
  {
    name: 'shares count open leases',
    broken: ({ now }) =>
      each(now.projects, (project) => {
        const open = now.leases.filter(
          (lease) => lease.project_id === project.id && lease.instance_runner === 1 && isOpen(lease),
        )
        return project.instance_jobs === open.length
          ? undefined
          : `project ${project.id}: ${project.instance_jobs} of ${open.length}`
      }),
  },
  {
    name: 'a lane knows its head',
    broken: ({ now }) =>
      each(now.lanes, (lane) => {
        const first = now.jobs.find((job) => job.lane_id === lane.id && job.in_queue === 1)
        return lane.head_job_id === (first?.id ?? null)
          ? undefined
          : `lane ${lane.id}: ${lane.head_job_id} for ${first?.id}`
      }),
  },
  {
    name: 'a runner is given what it may take',
    broken: ({ now, before, camera }) =>
      each(now.leases.slice(before?.leases.length ?? 0), (lease) => {
        const { asked, has, untagged } = camera.tagsOf(lease.job_id, lease.runner_id)
        if (!asked.every((tag) => has.includes(tag)))
          return `${leaseName(lease)}: runner ${lease.runner_id} lacks a tag`
        return asked.length === 0 && !untagged
          ? `${leaseName(lease)}: runner ${lease.runner_id} takes tagged jobs only`
          : undefined
      }),
  },
  {
    name: 'who let a job go is passed over for a while',
    broken: ({ now, before }) =>
      each(now.leases.slice(before?.leases.length ?? 0), (lease) =>
        now.leases.some(
          (one) =>
            one.job_id === lease.job_id &&
            one.fence < lease.fence &&
            one.manager_id === lease.manager_id &&
            (one.excluded_until ?? 0) > lease.offered_at,
        )
          ? `${leaseName(lease)} went to manager ${lease.manager_id} again`
          : undefined,
      ),
  },
  {
    name: 'a log is its owner’s, whole and in order',
    broken: ({ world, now, before }) => {
      const known = new Map(before?.traces.map((trace) => [trace.job_id, trace.length]))
      return each(now.traces, (trace) => {
        const old = known.get(trace.job_id)
        if (old !== undefined && trace.length < old) return `log of job ${trace.job_id} shrank`
        const holder = now.leases.find((lease) => lease.job_id === trace.job_id && lease.accepted_at !== null)
        if (!holder) return trace.length === 0 ? undefined : `log of job ${trace.job_id} has no writer`
        const wanted = logOf({ jobId: trace.job_id, fence: holder.fence }, 0, trace.length)
        const stored = world.disk.contentOf(`/traces/${Math.floor(trace.job_id / 1000)}/${trace.job_id}.log`)
        if (trace.length > 0 && !stored?.subarray(0, trace.length).equals(wanted))
          return `log of job ${trace.job_id} is not what was sent`
        return trace.crc32 === crc32(wanted) ? undefined : `log of job ${trace.job_id} has another checksum`
      })
    },
  },
  {
    name: 'what ended writes no more',
    broken: ({ now, before }) => {
      const ended = new Set(before?.jobs.filter((job) => is('finished', job.status)).map((job) => job.id))
      const known = new Map(before?.traces.map((trace) => [trace.job_id, trace.length]))
      return each(now.traces, ({ job_id: id, length }) =>
        ended.has(id) && known.get(id) !== length ? `log of job ${id} grew after its end` : undefined,
      )
    },
  },
  {
    name: 'what was acknowledged is kept',
    broken: ({ world: { oracle }, now }) => {
      const pipelines = new Set(now.pipelines.map((pipeline) => pipeline.id))
      const lost = [...oracle.pipelines].find((id) => !pipelines.has(id))
      if (lost !== undefined) return `pipeline ${lost} is lost`
      const jobs = new Map<number, JobStatus>(now.jobs.map((job) => [job.id, job.status]))
      for (const [id, status] of oracle.finals)
        if (jobs.get(id) !== status) return `job ${id} was said to be ${status}, and is ${jobs.get(id)}`
      const lengths = new Map(now.traces.map((trace) => [trace.job_id, trace.length]))
      for (const [id, length] of oracle.logs) {
        if ((lengths.get(id) ?? 0) < length) return `log of job ${id}: ${lengths.get(id) ?? 0} of ${length} bytes`
      }
      return undefined
    },
  },
  {
    name: 'nobody is lost before the term is over',
    broken: ({ world, now, before }) => {
      const open = new Set(before?.leases.filter(isOpen).map((lease) => lease.id))
      return each(now.leases, (lease) => {
        if (isOpen(lease) || !open.has(lease.id)) return undefined
        const job = now.jobs.find((one) => one.id === lease.job_id)!
        const renewed = world.oracle.renewed.get(leaseName(lease))
        if (renewed === undefined || !/not heard from/.test(job.failure_message ?? '')) return undefined
        const silent = world.time.monotonic() - renewed
        return silent < lease.term_ms - lateMs
          ? `${leaseName(lease)} ended after ${silent} of ${lease.term_ms} ms`
          : undefined
      })
    },
  },
  ...turnInvariants,
]

/** A payload, of those handed out since the last look, that does not say what the rows of its job and pipeline say. */
function foreignPayload({ world, now, camera }: Moment): string | undefined {
  return each(world.oracle.payloads.splice(0), ({ jobId, fence, payload: { job_info, git_info, variables } }) => {
    const job = now.jobs.find((one) => one.id === jobId)
    const pipeline = job && now.pipelines.find((one) => one.id === job.pipeline_id)
    if (!pipeline) return `payload ${jobId}.${fence} is of no job`
    const wanted = `job ${jobId} of pipeline ${pipeline.id} of project ${pipeline.project_id} at ${pipeline.sha}`
    const told = `job ${job_info.id} of pipeline ${job_info.pipeline_id} of project ${job_info.project_id} at ${git_info.sha}`
    if (told !== wanted) return `payload ${jobId}.${fence} is ${told}, not ${wanted}`
    const { predefined, strong } = camera.variablesOf(pipeline.id)
    const inPayload = (key: string) => variables.findLast((one) => one.key === key)?.value
    const other = [...predefined, ...strong].find(({ key, value }) => inPayload(key) !== value)
    return other && `payload ${jobId}.${fence}: ${other.key} is ${inPayload(other.key)}, not ${other.value}`
  })
}

/** What the node remembers by ids that no row has ever had, and rows that it has taken for known and that are not so. */
function rememberedTooEarly({ world, camera }: Moment): string | undefined {
  const { node, database } = world
  if (database.mistaken !== undefined) return database.mistaken
  if (!node.open) return undefined
  const { memory, demands } = node.core
  const last = camera.lastIds()
  for (let id = last.pipelines + 1; id < last.pipelines + 4; id++) {
    if (memory.pipelineVariables.get(id)) return `variables of pipeline ${id}, which there is not`
  }
  return each([...demands.entries()], ([id]) => (id > last.demands ? `demand ${id}, which there is not` : undefined))
}

/** An answer may be noted 5 s later than what it answers was done. */
const lateMs = 5000

function foldsOf(now: Picture): string | undefined {
  return (
    each(now.stages, (stage) => {
      const status = compositeStatus(partsOf(now.jobs.filter((job) => job.stage_id === stage.id && job.retried === 0)))
      return stage.status === status
        ? undefined
        : `stage ${stage.name} of pipeline ${stage.pipeline_id}: ${stage.status} for ${status}`
    }) ??
    each(now.pipelines, (pipeline) => {
      const jobs = currentOf(now, pipeline.id)
      if (jobs.length === 0) return undefined
      const status = nextPipelineStatus(pipeline.status, compositeStatus(partsOf(jobs)))
      return pipeline.status === status ? undefined : `pipeline ${pipeline.id}: ${pipeline.status} for ${status}`
    })
  )
}
