/**
 * What must be so before a job can be queued, besides its turn: its commit is here. Jobs of projects that mirror a
 * repository pass through `preparing` for that. Rules: gitlab app/services/ci/prepare_build_service.rb.
 */
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { SignalboxError } from '../errors.js'
import type { Pipeline } from '../pipeline.js'
import type { Project } from '../project.js'
import { applyJobEvent } from '../steps/apply-job-event.js'
import { dropLocked } from '../steps/drop-locked.js'
import { processPipeline } from '../steps/process-pipeline.js'
import { findJob, listPreparing, lockJob } from '../store/jobs.js'
import { getPipeline } from '../store/pipelines.js'
import { getProject } from '../store/projects.js'
import { fetchMirror } from './fetch-mirror.js'

/** Prepares a job that is `preparing` and queues it, or fails it (`unmet_prerequisites`). Safe to repeat. */
export async function prepareJob(core: Core, jobId: number): Promise<void> {
  const { read } = core.store
  const seen = await findJob(read, jobId)
  if (seen?.status !== 'preparing') return
  const problem = await fetchCommit(
    core,
    await getProject(read, seen.projectId),
    await getPipeline(read, seen.pipelineId),
  )
  await core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (job?.status !== 'preparing') return
    if (problem !== undefined) {
      await dropLocked(core, tx, job, { reason: 'unmet_prerequisites', class: 'infrastructure', message: problem })
      return
    }
    await applyJobEvent(core, tx, job, 'enqueue_preparing', { facts: { prerequisites: false } })
    await processPipeline(core, tx, job.pipelineId)
  })
}

/** Returns a sentence about why the commit is not here. */
async function fetchCommit(core: Core, project: Project, pipeline: Pipeline): Promise<string | undefined> {
  if (await hasCommit(core, project, pipeline.sha)) return undefined
  try {
    await fetchMirror(core, project)
  } catch (error) {
    return SignalboxError.from(error).message
  }
  if (!(await hasCommit(core, project, pipeline.sha))) {
    return `The commit ${pipeline.sha} is not in the repository that the project mirrors.`
  }
  core.repositories.pin(project, pipeline.id, pipeline.sha)
  return undefined
}

async function hasCommit(core: Core, project: Project, sha: string): Promise<boolean> {
  try {
    await core.repositories.commit(project, sha)
    return true
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') return false
    throw error
  }
}

/** The sweep: prepares the jobs that a stop of the node, or a fault, has left. */
export async function prepareJobsLeft(core: Core): Promise<number> {
  return eachSafely(core.log, 'preparing a job', await listPreparing(core.store.read), (id) => prepareJob(core, id))
}
