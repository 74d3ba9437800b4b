/** Jobs, for people and scripts. */

import { can, mayReadLog } from '../../core/authorize.js'
import type { PlanVariable } from '../../core/ci-config/variables.js'
import type { Core } from '../../core/core.js'
import { SignalboxError } from '../../core/errors.js'
import type { Job } from '../../core/job.js'
import { type JobStatus, jobStatuses } from '../../core/lifecycle/job-machine.js'
import { cancelJob } from '../../core/operations/cancel-job.js'
import { eraseJob } from '../../core/operations/erase-job.js'
import { playJob } from '../../core/operations/play-job.js'
import { retryJob } from '../../core/operations/retry-job.js'
import type { Project } from '../../core/project.js'
import { countJobs, type JobFilter, listJobs } from '../../core/store/job-lists.js'
import { findJob } from '../../core/store/jobs.js'
import { getPipeline } from '../../core/store/pipelines.js'
import { pipelinesBySource, projectsById } from '../../core/store/related.js'
import { jobTokenOf } from '../../http/access.js'
import type { Call, Reply, Route } from '../../http/call.js'
import { refined } from '../../http/errors.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute, tokenRoute } from '../call.js'
import { toBridge } from '../convert/job.js'
import { toPipelineBasic } from '../convert/pipeline.js'
import { forbidden, notFound } from '../errors.js'
import { jobEntities, jobEntity } from '../job-entities.js'
import { keysetReply, pageReply, requestedPage, withNext } from '../pages.js'
import { sendTrace } from '../trace-view.js'
import { fromInputs, pipelineOf, requireRef } from './pipelines.js'

const operate = { deed: 'operate' } as const

export const jobRoutes: readonly Route[] = [
  tokenRoute('get', '/job', showOwn),
  projectRoute('get', '/projects/:id/jobs', { deed: 'read', jobToken: true, signedIn: true }, listOfProject),
  projectRoute('get', '/projects/:id/pipelines/:pipeline_id/jobs', { deed: 'read', jobToken: true }, listOfPipeline),
  projectRoute('get', '/projects/:id/pipelines/:pipeline_id/bridges', { deed: 'read' }, listBridges),
  projectRoute('get', '/projects/:id/jobs/:job_id', { deed: 'read' }, async (call) =>
    shown(call.core, await jobOf(call)),
  ),
  projectRoute('get', '/projects/:id/jobs/:job_id/trace', { deed: 'read' }, async (call) => {
    const job = await jobOf(call)
    if (!(await mayReadLog(call.core, call.actor, call.project, job.id))) throw forbidden()
    await sendTrace(call, job)
    return undefined
  }),
  projectRoute('post', '/projects/:id/jobs/:job_id/cancel', operate, cancel),
  projectRoute('post', '/projects/:id/jobs/:job_id/retry', operate, retry),
  projectRoute('post', '/projects/:id/jobs/:job_id/play', operate, play),
  projectRoute('post', '/projects/:id/jobs/:job_id/erase', operate, erase),
]

/** A job asks about itself; who has no job's token is told that there is none. */
async function showOwn({ core, access, req, params }: Call): Promise<Reply> {
  const token = jobTokenOf(req, params)
  if (token === undefined) {
    if (await access.actor(req, params)) throw notFound('Job')
    throw new SignalboxError('unauthenticated', '401 Unauthorized')
  }
  return shown(core, (await access.job(req, token)).job)
}

/** Newest first and not counted; `pagination=keyset` goes on after a cursor. */
async function listOfProject(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const filter: JobFilter = { projectId: project.id, kinds: ['build'], ...fromScope(params) }
  const page = requestedPage(call)
  if (params.text('pagination') === 'keyset') {
    const sort = params.choice('sort', ['asc', 'desc']) ?? 'desc'
    const after = fromCursor(params)
    const jobs = await listJobs(
      core.store.read,
      { ...filter, ...(after === undefined ? {} : { after }) },
      { limit: page.perPage + 1, offset: 0 },
      sort,
    )
    const shownJobs = jobs.slice(0, page.perPage)
    const cursor = jobs.length > page.perPage ? toCursor(shownJobs.at(-1)!.id) : undefined
    return keysetReply(call, await jobEntities(core, shownJobs), page.perPage, cursor)
  }
  const jobs = await listJobs(core.store.read, filter, withNext(page))
  return pageReply(call, page, await jobEntities(core, jobs), undefined)
}

async function listOfPipeline(call: ProjectCall): Promise<Reply> {
  const { core, params } = call
  const { id } = await pipelineOf(call)
  const filter: JobFilter = {
    pipelineId: id,
    kinds: ['build'],
    retried: params.boolean('include_retried') ?? false,
    ...fromScope(params),
  }
  const page = requestedPage(call)
  const [jobs, total] = await Promise.all([
    listJobs(core.store.read, filter, withNext(page)),
    countJobs(core.store.read, filter),
  ])
  return pageReply(call, page, await jobEntities(core, jobs), total)
}

/** Trigger jobs, each with the pipeline that it has made, if the caller may see it. */
async function listBridges(call: ProjectCall): Promise<Reply> {
  const { core, params } = call
  const { read } = core.store
  const { id } = await pipelineOf(call)
  const page = requestedPage(call)
  const filter: JobFilter = { pipelineId: id, kinds: ['bridge'], retried: false, ...fromScope(params) }
  const [jobs, total] = await Promise.all([listJobs(read, filter, withNext(page)), countJobs(read, filter)])
  const entities = await jobEntities(core, jobs)
  const made = await pipelinesBySource(
    read,
    jobs.map((job) => job.id),
  )
  const projects = await projectsById(
    read,
    [...made.values()].map((pipeline) => pipeline.projectId),
  )
  const readable = new Map<number, Project>()
  for (const [projectId, project] of projects) {
    const own = projectId === call.project.id
    if (own || (await can(core, call.actor, 'read', project))) readable.set(projectId, project)
  }
  const body = jobs.map((job, i) => {
    const pipeline = made.get(job.id)
    const project = pipeline && readable.get(pipeline.projectId)
    const shownPipeline = pipeline && project ? toPipelineBasic(pipeline, project, core.externalUrl()) : null
    return { ...toBridge(entities[i]!), downstream_pipeline: shownPipeline }
  })
  return pageReply(call, page, body, total)
}

function fromScope(params: Params): { statuses?: JobStatus[] } {
  const scope = params.texts('scope')?.filter((one) => one !== '')
  if (!scope?.length) return {}
  if (!scope.every((one) => (jobStatuses as readonly string[]).includes(one))) {
    throw wrongParameter('scope', 'does not have a valid value')
  }
  return { statuses: scope as JobStatus[] }
}

function toCursor(id: number): string {
  return Buffer.from(JSON.stringify({ id: String(id) })).toString('base64url')
}

function fromCursor(params: Params): number | undefined {
  const text = params.text('cursor', { max: 256 })
  if (!text) return undefined
  const id = /^\{"id":"(\d{1,15})"\}$/.exec(Buffer.from(text, 'base64url').toString('latin1'))?.[1]
  if (id === undefined) throw wrongParameter('cursor')
  return Number(id)
}

/**
 * For maintainers, and on what is not protected for whoever has started the job. GitLab refuses what is not over, and what
 * has left nothing. Rule: gitlab app/policies/ci/build_policy.rb
 */
async function erase(call: ProjectCall): Promise<Reply> {
  const { id, userId } = await changeableJob(call)
  const { core, actor, project } = call
  if (userId !== actor?.user.id && !(await can(core, actor, 'administer', project))) throw forbidden()
  try {
    return await shown(call.core, await eraseJob(call.core, id), 201)
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'forbidden') throw forbidden('Job is not erasable!')
    throw error
  }
}

async function cancel(call: ProjectCall): Promise<Reply> {
  const { id } = await changeableJob(call)
  const force = call.params.boolean('force') ?? false
  try {
    return await shown(
      call.core,
      await cancelJob(call.core, { jobId: id, force, userId: call.actor?.user.id ?? null }),
      201,
    )
  } catch (error) {
    if (!(error instanceof SignalboxError) || error.code !== 'invalid') throw error
    throw refined('invalid', 'unprocessable', error.message)
  }
}

async function retry(call: ProjectCall): Promise<Reply> {
  const { id } = await changeableJob(call)
  try {
    return await shown(call.core, await retryJob(call.core, { jobId: id, userId: call.actor?.user.id ?? null }), 201)
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'forbidden') throw forbidden('Job is not retryable')
    throw error
  }
}

async function play(call: ProjectCall): Promise<Reply> {
  const { id } = await changeableJob(call)
  const variables = fromJobVariables(call.params)
  const inputs = fromInputs(call.params, 'job_inputs')
  const given = { variables, ...(inputs === undefined ? {} : { inputs }) }
  try {
    return await shown(
      call.core,
      await playJob(call.core, { jobId: id, userId: call.actor?.user.id ?? null, ...given }),
    )
  } catch (error) {
    if (!(error instanceof SignalboxError) || error.code !== 'invalid') throw error
    if (error.details?.inputs === true) throw new SignalboxError('invalid', error.message)
    throw new SignalboxError('invalid', '400 Bad request - Unplayable Job', { details: { verbatim: true } })
  }
}

const mostVariables = 100
const longestValue = 64 * 1024

/** `job_variables_attributes: [{key, value}]`. */
function fromJobVariables(params: Params): PlanVariable[] {
  const given = params.maps('job_variables_attributes') ?? []
  if (given.length > mostVariables) throw wrongParameter('job_variables_attributes', 'are too many')
  return given.map((one) => {
    const key = one.text('key', { max: 255 })
    const value = one.text('value', { max: longestValue, loose: true })
    if (key === undefined || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key))
      throw wrongParameter('job_variables_attributes[key]')
    if (value === undefined) throw wrongParameter('job_variables_attributes[value]', 'is missing')
    return { key, value }
  })
}

/** The job of the path, for those who may change what runs on its ref. */
export async function changeableJob(call: ProjectCall): Promise<Job> {
  const job = await jobOf(call)
  await requireRef(call, await getPipeline(call.core.store.read, job.pipelineId))
  return job
}

/** The job of the path, if it is this project's. */
export async function jobOf(call: ProjectCall): Promise<Job> {
  const job = await findJob(call.core.store.read, idOf(call, 'job_id', 'Job'))
  if (job?.projectId !== call.project.id) throw notFound('Job')
  return job
}

async function shown(core: Core, job: Job, status = 200): Promise<Reply> {
  return { status, body: await jobEntity(core, job) }
}
