/**
 * Step: brings a pipeline up to date with its jobs. Every created job whose turn has come is queued, skipped, or set to
 * wait for a person or a time; then stages and the pipeline get the status that their jobs fold to. Runs in the
 * transaction of each change that can matter to it, with the pipeline locked; a second run without a change writes nothing.
 * Rules: gitlab app/services/ci/pipeline_processing/atomic_processing_service.rb, app/services/ci/process_build_service.rb.
 */
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import type { JobEvent, JobStatus } from '../lifecycle/job-machine.js'
import { is } from '../lifecycle/job-machine.js'
import { compositeStatus, keepsRunning, nextPipelineStatus } from '../lifecycle/pipeline-status.js'
import { isOfTrain } from '../merge-train.js'
import { type Pipeline, unionLength } from '../pipeline.js'
import { type Giver, listGivers } from '../store/artifacts.js'
import type { CurrentJob } from '../store/current-jobs.js'
import { getDefinition, getJob, listCurrentJobs, listPipelineNeeds } from '../store/jobs.js'
import {
  getPipeline,
  isRunningOn,
  listStages,
  lockPipeline,
  runIntervals,
  savePipelineStatus,
  saveStageStatus,
} from '../store/pipelines.js'
import { getProject } from '../store/projects.js'
import { saveUnfinishedPass } from '../store/unfinished-passes.js'
import type { Tx } from '../store/write.js'
import { pipelineSpan, spanData } from '../trace-context.js'
import { afterFinish } from './after-finish.js'
import { applyGated } from './gate-job.js'
import { record } from './record.js'
import { tellSubscribers } from './tell-subscribers.js'

/** Statuses of what came before that let a job go on, by its `when` and how it is ordered. */
const acceptedBefore: Record<string, Record<'stage' | 'dag', readonly JobStatus[]>> = {
  on_success: { stage: ['success', 'skipped'], dag: ['success'] },
  manual: { stage: ['success', 'skipped'], dag: ['success'] },
  delayed: { stage: ['success', 'skipped'], dag: ['success'] },
  on_failure: { stage: ['failed'], dag: ['failed'] },
  always: { stage: ['success', 'failed', 'skipped'], dag: ['success', 'failed', 'skipped'] },
}

const eventOf: Record<string, JobEvent> = { manual: 'actionize', delayed: 'schedule' }

/** A job whose row has just been made in this transaction, and what it does. */
export interface PlannedJob {
  job: Job
  plan: JobPlan
}

/**
 * `made`: all jobs of a new pipeline in stage order, so that they need not be read. Takes on so many jobs at once and no
 * more; the next pass follows after the commit. Returns whether all is done.
 */
export async function processPipeline(
  core: Core,
  tx: Tx,
  pipelineId: number,
  made?: readonly PlannedJob[],
): Promise<boolean> {
  await lockPipeline(tx, pipelineId)
  const jobs = made?.map(({ job }) => job) ?? (await listCurrentJobs(tx, pipelineId))
  let done = true
  if (jobs.some((job) => job.status === 'created')) {
    const dropped: Job[] = []
    done = await advance(core, tx, jobs, {
      left: core.settings.jobsAtOnce,
      needs: await needsByJob(tx, pipelineId, jobs),
      made: new Map(made?.map((one) => [one.job.id, one])),
      // Jobs that have just been made have nothing to give.
      givers: made ? async () => [] : once(() => listGivers(tx, pipelineId)),
      dropped,
    })
    let alone = true
    for (const job of dropped) if (!(await afterFinish(core, tx, job))) alone = false
    // A retry, or the end of the pipeline, has changed the jobs behind this pass.
    if (!alone) return processPipeline(core, tx, pipelineId)
  }
  await writeStatuses(core, tx, pipelineId, jobs)
  if (!done) await goOnLater(core, tx, pipelineId)
  return done
}

/** Step: more jobs of the pipeline are to be taken on, in a transaction of its own. */
async function goOnLater(core: Core, tx: Tx, pipelineId: number): Promise<void> {
  await saveUnfinishedPass(tx, pipelineId)
  tx.afterCommit(() => core.pipelineTurns.add(pipelineId))
}

/**
 * The same after one job has changed and nothing else, in a pipeline that was up to date: most starts and ends leave all
 * others as they were, which one look tells.
 */
export async function processAfter(core: Core, tx: Tx, job: Job): Promise<void> {
  const quiet = job.retried === 0 && keepsRunning(partOf(job)) && (await isRunningOn(tx, job))
  if (!quiet) await processPipeline(core, tx, job.pipelineId)
}

interface Pass {
  /** Jobs that may still be taken on. */
  left: number
  /** By job, what it waits for. */
  needs: Map<number, CurrentJob[]>
  made: ReadonlyMap<number, PlannedJob>
  /** Read when the first job asks; no job of the pass changes it. */
  givers: () => Promise<Giver[]>
  /** Filled with jobs that were refused on their way, and failed. */
  dropped: Job[]
}

/**
 * Goes through the created jobs by stage; what changes is seen by those after it. `jobs` is kept up to date. Returns
 * whether it went through all of them.
 */
async function advance(core: Core, tx: Tx, jobs: CurrentJob[], pass: Pass): Promise<boolean> {
  const { needs } = pass
  const positions = [...new Set(jobs.map((job) => job.stagePosition))]
  const earlier: CurrentJob[] = []
  for (const position of positions) {
    const stage = jobs.filter((job) => job.stagePosition === position)
    const before = compositeStatus(earlier.map(partOf))
    // A job may need another of its own stage, so the stage is gone through until nothing moves any more.
    for (let moved = true; moved; ) {
      moved = false
      for (const job of stage) {
        if (job.status !== 'created') continue
        const named = needs.get(job.id)
        const status = named ? compositeStatus(named.map(partOf), 'needs') : before
        if (!is('completed', status)) continue
        if (pass.left === 0) return false
        if (!(await advanceJob(core, tx, job, status, pass))) continue
        moved = true
        pass.left--
      }
    }
    earlier.push(...stage)
  }
  return true
}

/** One created job whose turn has come. */
async function advanceJob(core: Core, tx: Tx, current: CurrentJob, before: JobStatus, pass: Pass): Promise<boolean> {
  const made = pass.made.get(current.id)
  const job = made?.job ?? (await getJob(tx, current.id))
  const goesOn = acceptedBefore[job.runWhen]?.[job.scheduling].includes(before) ?? false
  let event: JobEvent = 'skip'
  if (goesOn) event = job.enqueueAtOnce ? 'enqueue' : (eventOf[job.runWhen] ?? 'enqueue')
  let scheduledAt: number | null = null
  if (event === 'schedule') {
    const { startInSeconds } = made?.plan ?? (await getDefinition(tx, job.definitionId))
    if (startInSeconds === undefined) event = 'actionize'
    else scheduledAt = tx.now + startInSeconds * 1000
  }
  const applied = await applyGated(core, tx, job, event, {
    ...(scheduledAt === null ? {} : { set: { scheduledAt } }),
    ...(made ? { plan: made.plan } : {}),
    givers: pass.givers,
  })
  current.status = job.status
  if (job.status === 'failed') pass.dropped.push(job)
  return applied
}

/** The jobs that each job ordered by needs waits for; one that is not in the pipeline (optional) is not waited for. */
async function needsByJob(tx: Tx, pipelineId: number, jobs: CurrentJob[]): Promise<Map<number, CurrentJob[]>> {
  const result = new Map<number, CurrentJob[]>()
  for (const job of jobs) if (job.scheduling === 'dag') result.set(job.id, [])
  if (result.size === 0) return result
  const byName = new Map(jobs.map((job) => [job.name, job]))
  for (const need of await listPipelineNeeds(tx, pipelineId)) {
    const needed = byName.get(need.name)
    if (needed) result.get(need.jobId)?.push(needed)
  }
  return result
}

function once<T>(read: () => Promise<T>): () => Promise<T> {
  let kept: Promise<T> | undefined
  return () => {
    kept ??= read()
    return kept
  }
}

async function writeStatuses(core: Core, tx: Tx, pipelineId: number, jobs: CurrentJob[]): Promise<void> {
  const stages = await listStages(tx, pipelineId)
  for (const stage of stages) {
    const status = compositeStatus(jobs.filter((job) => job.stageId === stage.id).map(partOf))
    if (status !== stage.status) await saveStageStatus(tx, stage, status)
  }
  const before = await getPipeline(tx, pipelineId)
  const from = before.status
  const to = nextPipelineStatus(from, compositeStatus(jobs.map(partOf)))
  if (to === from) return
  const pipeline: Pipeline = { ...before, status: to, updatedAt: tx.now }
  if (to === 'running') pipeline.startedAt ??= tx.now
  pipeline.finishedAt = is('finished', to) ? tx.now : null
  if (is('finished', to) || to === 'manual') pipeline.durationMs = await durationOf(tx, pipelineId)
  await savePipelineStatus(tx, pipeline, from)
  await record(core, tx, {
    kind: 'pipeline.changed',
    projectId: pipeline.projectId,
    pipelineId,
    data: { from, to, ...(is('finished', to) ? endOf(core, pipeline) : {}) },
  })
  const { sourceJobId } = pipeline
  const { followUps } = core
  if (sourceJobId !== null) tx.afterCommit(() => followUps.soon('follow_downstream', { jobId: sourceJobId }))
  if (pipeline.followed === 1) tx.afterCommit(() => followUps.soon('follow_mirrors', { pipelineId }))
  if (isOfTrain(pipeline) && is('stopped', to)) {
    const { id, projectId } = pipeline
    tx.afterCommit(() => followUps.soon('follow_car', { id, projectId }))
  }
  // Most changes are of neither kind, and need not look at the project.
  if (!is('stopped', to) && !is('stopped', from)) return
  const project = await getProject(tx, pipeline.projectId)
  if (to === 'success' && pipeline.tag === 1 && project.followed === 1) await tellSubscribers(core, tx, pipeline)
  if (is('stopped', to)) tx.afterCommit(() => core.repositories.unpin(project, pipelineId))
  else if (is('stopped', from)) tx.afterCommit(() => core.repositories.pin(project, pipelineId, pipeline.sha))
}

/** What a trace says of a pipeline that is over. */
function endOf(core: Core, pipeline: Pipeline): Record<string, string | number> {
  const { iid, ref, sha, source, name, createdAt } = pipeline
  const ids = spanData(pipelineSpan(core.keys, pipeline))
  return { ...ids, iid, ref, sha, source, name: name ?? `pipeline ${ref}`, created_at: createdAt }
}

async function durationOf(tx: Tx, pipelineId: number): Promise<number> {
  const intervals = await runIntervals(tx, pipelineId)
  return unionLength(intervals.map((one) => ({ from: one.startedAt, to: one.finishedAt ?? tx.now })))
}

const partOf = (job: Pick<CurrentJob, 'status' | 'allowFailure'>) => ({
  status: job.status,
  allowFailure: job.allowFailure === 1,
})
