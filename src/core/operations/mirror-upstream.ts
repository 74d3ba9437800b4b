/**
 * A trigger job that names a pipeline of another project in place of starting one (`needs:pipeline` alone) has its status:
 * that of the newest pipeline on the project's default branch when the job's turn comes.
 * Rule: https://docs.gitlab.com/ci/yaml/#needspipeline
 */

import { can } from '../authorize.js'
import { expandText } from '../ci-config/expand.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import type { FailureReason } from '../failure.js'
import type { Job } from '../job.js'
import { is, type JobStatus } from '../lifecycle/job-machine.js'
import { copyStatus } from '../steps/copy-status.js'
import { lookupFor } from '../steps/job-lookup.js'
import { contextOf, variablesOf } from '../steps/pipeline-context.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { resetSkippedJobs } from '../steps/reset-skipped-jobs.js'
import { doesMirror, findMirrored, insertMirror, listMirrorsOf } from '../store/downstream.js'
import { lockJob } from '../store/jobs.js'
import { listPipelines } from '../store/pipeline-lists.js'
import { findProjectByPath, getProject } from '../store/projects.js'
import { findUser } from '../store/users.js'
import { dropJob } from './drop-job.js'

/** A pending job finds the pipeline that it follows from now on, or fails. Safe to repeat. */
export async function mirrorUpstream(core: Core, job: Job, plan: JobPlan): Promise<void> {
  const { read } = core.store
  if ((await findMirrored(read, job.id)) === undefined) {
    const found = await findUpstream(core, job, plan)
    if (typeof found !== 'number') {
      await dropJob(core, job.id, { reason: found.reason, class: 'config', message: found.message })
      return
    }
    // The mark on the other pipeline is there before its status is looked at: no change of it can be missed.
    const circle = await core.store.write(async (tx) => {
      if (await doesMirror(tx, found, job.pipelineId, core.settings.pipelineTreeLimit)) return true
      await insertMirror(tx, job.id, found)
      return false
    })
    if (circle) {
      const message = `Pipeline ${found} is the job's own, or waits for it.`
      await dropJob(core, job.id, { reason: 'pipeline_loop_detected', class: 'config', message })
      return
    }
  }
  await followUpstream(core, job.id)
}

async function findUpstream(
  core: Core,
  job: Job,
  plan: JobPlan,
): Promise<number | { reason: FailureReason; message: string }> {
  const { read } = core.store
  const context = await core.store.write(async (tx) => ({
    ...(await contextOf(tx, job.pipelineId)),
    variables: await variablesOf(core, tx, job.pipelineId),
  }))
  const [need] = plan.crossNeeds as { pipeline: string }[]
  const path = expandText(need!.pipeline, lookupFor(core, job, plan, context), 'blank')
  const project = await findProjectByPath(read, path)
  if (!project) return { reason: 'upstream_bridge_project_not_found', message: `There is no project ${path}.` }
  const user = job.userId === null ? undefined : await findUser(read, job.userId)
  if (!(await can(core, user && { user, scopes: new Set() }, 'read', project))) {
    return { reason: 'insufficient_upstream_permissions', message: `The job's user may not read ${path}.` }
  }
  const where = { projectId: project.id, ref: project.defaultBranch, child: false as const }
  const [latest] = await listPipelines(read, where, { limit: 1, offset: 0 })
  if (latest) return latest.id
  return {
    reason: 'upstream_bridge_project_not_found',
    message: `${path} has no pipeline on ${project.defaultBranch} yet.`,
  }
}

/** What the job shows for each status of the pipeline; what is not named is under way. */
const shown: Partial<Record<JobStatus, JobStatus>> = {
  success: 'success',
  failed: 'failed',
  canceled: 'canceled',
  skipped: 'skipped',
  manual: 'manual',
}

/** Brings a job that mirrors a pipeline up to date with it. Safe to repeat. */
export async function followUpstream(core: Core, jobId: number): Promise<void> {
  await core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    const upstream = await findMirrored(tx, jobId)
    if (!job || job.retried === 1 || !upstream || job.status === 'canceling') return
    if (job.status === 'canceled' && upstream.status !== 'canceled') return
    const to = shown[upstream.status] ?? 'running'
    if (to === job.status) return
    const again = is('stopped', job.status) && to === 'running'
    const { fullPath } = await getProject(tx, upstream.projectId)
    await copyStatus(core, tx, job, to, {
      data: { upstream: upstream.id },
      failure: `The pipeline ${upstream.id} of ${fullPath} did not succeed.`,
    })
    if (again) await resetSkippedJobs(core, tx, job, job.userId)
    await processPipeline(core, tx, job.pipelineId)
  })
}

/** The pipeline has changed: those that mirror it do, too. */
export async function followMirrors(core: Core, pipelineId: number): Promise<void> {
  const jobs = await listMirrorsOf(core.store.read, pipelineId)
  await eachSafely(core.log, 'mirroring a pipeline', jobs, (id) => followUpstream(core, id))
}
