/**
 * Pipelines and jobs, found by their ids alone, and why they are where they are.
 *
 * - `GET /pipelines/:id`, `GET /jobs/:id`: where a pipeline or job is to be found in GitLab's API; why a job failed
 * - `GET /jobs/:id/why`: what keeps a job waiting
 * - `POST /jobs/:id/hold`, `POST /jobs/:id/callback`: an outside system holds a job, and says how it goes on
 * - `GET /pipelines/:id/reports`: what the reports of its jobs come to
 * - `POST /projects`: a project by its path, with the groups that are missing; `mirror`: the repository that it mirrors
 */
import { canUpdatePipeline, mayReadLog } from '../core/authorize.js'
import { SignalboxError } from '../core/errors.js'
import type { Job } from '../core/job.js'
import { parseRemote } from '../core/mirror.js'
import { callBack, callbackResults } from '../core/operations/call-back.js'
import { createProject } from '../core/operations/create-project.js'
import { explainFailure } from '../core/operations/explain-failure.js'
import { explainJob } from '../core/operations/explain-job.js'
import { holdJob } from '../core/operations/hold-job.js'
import { getPipeline } from '../core/store/pipelines.js'
import { getProject } from '../core/store/projects.js'
import { listReports } from '../core/store/reports.js'
import type { Reply, Route, UserCall } from '../http/call.js'
import { toExplanation, toFailure, toProject, toReport } from './convert.js'
import { jobOf, operatedJobOf, pipelineOf } from './found.js'
import { signedInRoute } from './route.js'

export const liveRoutes: readonly Route[] = [
  signedInRoute('get', '/pipelines/:id', async (call) => {
    const pipeline = await pipelineOf(call)
    return {
      status: 200,
      body: await located(call, pipeline.projectId, { id: pipeline.id, iid: pipeline.iid, status: pipeline.status }),
    }
  }),
  signedInRoute('get', '/pipelines/:id/reports', async (call) => {
    const { id } = await pipelineOf(call)
    return { status: 200, body: (await listReports(call.core.store.read, id)).map(toReport) }
  }),
  signedInRoute('get', '/jobs/:id', async (call) => {
    const job = await jobOf(call)
    return {
      status: 200,
      body: await located(call, job.projectId, {
        id: job.id,
        pipeline_id: job.pipelineId,
        name: job.name,
        status: job.status,
        ...(await failureOf(call, job)),
      }),
    }
  }),
  signedInRoute('get', '/jobs/:id/why', async (call) => {
    // It names runners, which are not everybody's to see.
    const job = await operatedJobOf(call)
    const why = toExplanation(await explainJob(call.core, job))
    return { status: 200, body: { ...why, ...(await failureOf(call, job)) } }
  }),
  signedInRoute(
    'post',
    '/jobs/:id/hold',
    async (call) => {
      const job = await changeableJobOf(call)
      return stateOf(await holdJob(call.core, { jobId: job.id, userId: call.actor.user.id }))
    },
    'api',
  ),
  signedInRoute(
    'post',
    '/jobs/:id/callback',
    async (call) => {
      const job = await changeableJobOf(call)
      const result = call.params.choice('result', callbackResults) ?? 'continue'
      const message = call.params.text('message', { max: 255 })
      const input = { jobId: job.id, result, userId: call.actor.user.id, ...(message ? { message } : {}) }
      return stateOf(await callBack(call.core, input))
    },
    'api',
  ),
  signedInRoute('post', '/projects', makeProject, 'api'),
]

/** `failure`, for a job that has failed. Its lines are for those who may read the log. */
async function failureOf(call: UserCall, job: Job): Promise<{ failure?: object }> {
  if (job.status !== 'failed') return {}
  const project = await getProject(call.core.store.read, job.projectId)
  const showsLog = await mayReadLog(call.core, call.actor, project, job.id)
  const failure = await explainFailure(call.core, job, { showsLog })
  return failure === undefined ? {} : { failure: toFailure(failure) }
}

/** The job, for those who may change what runs on its ref. */
async function changeableJobOf(call: UserCall): Promise<Job> {
  const job = await operatedJobOf(call)
  const { read } = call.core.store
  const [project, pipeline] = [await getProject(read, job.projectId), await getPipeline(read, job.pipelineId)]
  if (await canUpdatePipeline(read, call.actor, project, pipeline)) return job
  throw new SignalboxError('forbidden', 'the ref of the job is protected: this is for those who may push to it')
}

const stateOf = ({ id, status }: Job): Reply => ({ status: 200, body: { id, status } })

async function makeProject(call: UserCall): Promise<Reply> {
  const path = call.params.text('path')
  if (!path) throw new SignalboxError('invalid', 'path is missing')
  const { user } = call.actor
  if (user.projectId !== null) throw new SignalboxError('forbidden', 'a project’s token makes no projects')
  const mirror = call.params.text('mirror')
  const visibility = call.params.choice('visibility', ['private', 'internal', 'public'])
  const project = await createProject(call.core, {
    path,
    user,
    ...(visibility === undefined ? {} : { visibility }),
    ...(mirror ? { mirror: parseRemote(mirror) } : {}),
  })
  return { status: 201, body: toProject(project, call.core.externalUrl()) }
}

async function located(call: UserCall, projectId: number, entity: object): Promise<object> {
  const project = await getProject(call.core.store.read, projectId)
  return { ...entity, project_id: project.id, project_path: project.fullPath }
}
