/**
 * What people follow: pipelines and logs, found by their ids alone and sent as they grow.
 *
 * - `GET /pipelines/:id`, `GET /jobs/:id`: where a pipeline or job is to be found in GitLab's API; why a job failed
 * - `GET /jobs/:id/why`: what keeps a job waiting
 * - `POST /jobs/:id/hold`, `POST /jobs/:id/callback`: an outside system holds a job, and says how it goes on
 * - `GET /pipelines/:id/events`: server-sent events, each the whole state after a change; ends with the pipeline
 * - `GET /pipelines/:id/reports`: what the reports of its jobs come to
 * - `GET /jobs/:id/log?follow=true`: the log, and what is added to it until the job ends
 * - `POST /projects`: a project by its path, with the groups that are missing; `mirror`: the repository that it mirrors
 */
import type { ServerResponse } from 'node:http'
import { can, canUpdatePipeline, mayReadLog } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Job } from '../core/job.js'
import { is } from '../core/lifecycle/job-machine.js'
import { parseRemote } from '../core/mirror.js'
import { callBack, callbackResults } from '../core/operations/call-back.js'
import { createProject } from '../core/operations/create-project.js'
import { explainFailure } from '../core/operations/explain-failure.js'
import { explainJob } from '../core/operations/explain-job.js'
import { holdJob } from '../core/operations/hold-job.js'
import { hasEnded, type Pipeline } from '../core/pipeline.js'
import { listJobViews } from '../core/store/job-views.js'
import { findJob, getJob } from '../core/store/jobs.js'
import { findPipeline, getPipeline } from '../core/store/pipelines.js'
import { getProject } from '../core/store/projects.js'
import { listReports } from '../core/store/reports.js'
import { findTrace } from '../core/store/traces.js'
import { idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import { writePiece } from '../http/write-piece.js'
import { toExplanation, toFailure, toProject, toReport } from './convert.js'
import { signedInRoute } from './route.js'

export const liveRoutes: readonly Route[] = [
  signedInRoute('get', '/pipelines/:id', async (call) => {
    const pipeline = await pipelineOf(call)
    return {
      status: 200,
      body: await located(call, pipeline.projectId, { id: pipeline.id, iid: pipeline.iid, status: pipeline.status }),
    }
  }),
  signedInRoute('get', '/pipelines/:id/events', async (call) => {
    const pipeline = await pipelineOf(call)
    const project = await getProject(call.core.store.read, pipeline.projectId)
    const debugLogs = await can(call.core, call.actor, 'operate', project)
    await sendEvents(call.core, pipeline.id, call.res, { requestId: call.requestId, debugLogs })
    return undefined
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
  signedInRoute('get', '/jobs/:id/log', async (call) => {
    const job = await jobOf(call)
    const project = await getProject(call.core.store.read, job.projectId)
    if (!(await mayReadLog(call.core, call.actor, project, job.id))) {
      throw new SignalboxError(
        'forbidden',
        'the log of a debugging shell is shown to those who may operate the project',
      )
    }
    const offset = offsetOf(call.params.text('offset'))
    await sendLog(call.core, job.id, call.res, {
      offset,
      follow: call.params.boolean('follow') === true,
      requestId: call.requestId,
    })
    return undefined
  }),
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

/** The job, for those who may operate its project. */
async function operatedJobOf(call: UserCall): Promise<Job> {
  const job = await jobOf(call)
  if (!(await can(call.core, call.actor, 'operate', await getProject(call.core.store.read, job.projectId)))) {
    throw new SignalboxError('forbidden', 'this is for those who may operate the project of the job')
  }
  return job
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

/** An id that is not there and one that may not be seen look the same. */
async function pipelineOf(call: UserCall): Promise<Pipeline> {
  const id = idFrom(call.path('id'))
  const pipeline = id === undefined ? undefined : await findPipeline(call.core.store.read, id)
  if (!pipeline || !(await mayRead(call, pipeline.projectId))) {
    throw new SignalboxError('not_found', `no pipeline ${call.path('id')}`)
  }
  return pipeline
}

async function jobOf(call: UserCall): Promise<Job> {
  const id = idFrom(call.path('id'))
  const job = id === undefined ? undefined : await findJob(call.core.store.read, id)
  if (!job || !(await mayRead(call, job.projectId))) {
    throw new SignalboxError('not_found', `no job ${call.path('id')}`)
  }
  return job
}

async function mayRead(call: UserCall, projectId: number): Promise<boolean> {
  return can(call.core, call.actor, 'read', await getProject(call.core.store.read, projectId))
}

async function located(call: UserCall, projectId: number, entity: object): Promise<object> {
  const project = await getProject(call.core.store.read, projectId)
  return { ...entity, project_id: project.id, project_path: project.fullPath }
}

function offsetOf(text: string | undefined): number {
  if (text === undefined) return 0
  if (!/^\d{1,15}$/.test(text)) throw new SignalboxError('invalid', 'offset is not a number of bytes')
  return Number(text)
}

/** A comment now and then, so that no proxy takes a quiet stream for a dead one. */
const quietMs = 15_000

async function sendEvents(
  core: Core,
  pipelineId: number,
  res: ServerResponse,
  { requestId, debugLogs }: { requestId: string; debugLogs: boolean },
): Promise<void> {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no',
    'X-Request-Id': requestId,
  })
  const changes = new Changes(res)
  const stops = [
    // Listening comes before the first look: what changes between the two is looked at again.
    core.events.listen((event) => event.pipelineId === pipelineId && changes.signal()),
    core.clock.every(quietMs, () => res.write(': still here\n\n')),
  ]
  try {
    for (let status = ''; !changes.gone; ) {
      const pipeline = await getPipeline(core.store.read, pipelineId)
      const jobs = await listJobViews(core.store.read, pipelineId, { debugLogs })
      await writePiece(
        res,
        `event: pipeline\ndata: ${JSON.stringify({ id: pipelineId, status: pipeline.status, jobs })}\n\n`,
      )
      status = pipeline.status
      if (hasEnded(status as Pipeline['status'])) break
      await changes.next()
    }
  } finally {
    for (const stop of stops) stop()
    res.end()
  }
}

const pieceBytes = 256 * 1024

interface LogOptions {
  offset: number
  follow: boolean
  requestId: string
}

async function sendLog(core: Core, jobId: number, res: ServerResponse, options: LogOptions): Promise<void> {
  res.writeHead(200, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Disposition': `attachment; filename="job-${jobId}.log"`,
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Cache-Control': 'no-store',
    'X-Request-Id': options.requestId,
  })
  // The answer begins at once, however long the job is silent.
  res.flushHeaders()
  const changes = new Changes(res)
  const stops = options.follow
    ? [
        core.traces.watch(jobId, () => changes.signal()),
        core.events.listen((event) => event.jobId === jobId && changes.signal()),
      ]
    : []
  try {
    for (let sent = options.offset; !changes.gone; ) {
      // The status first: a job that has ended has no more to say than what is read after.
      const { status, fence } = await getJob(core.store.read, jobId)
      const committed = (await findTrace(core.store.read, jobId))?.length ?? 0
      const length = Math.min(committed, core.traces.session(jobId, fence)?.visible ?? committed)
      while (sent < length && !changes.gone) {
        const piece = await core.traces.read(jobId, sent, Math.min(length, sent + pieceBytes))
        // The file is shorter than its row says: there is no more to be had, however often it is asked for.
        if (piece.length === 0) break
        sent += piece.length
        await writePiece(res, piece)
      }
      if (!options.follow || is('completed', status)) break
      await changes.next()
    }
  } finally {
    for (const stop of stops) stop()
    res.end()
  }
}

/** Whether something has changed since the last look, and whether anybody is still there to be told. */
class Changes {
  gone = false
  #changed = false
  #wake: (() => void) | undefined

  constructor(res: ServerResponse) {
    res.on('close', () => {
      this.gone = true
      this.signal()
    })
  }

  signal(): void {
    this.#changed = true
    this.#wake?.()
  }

  async next(): Promise<void> {
    if (!this.#changed && !this.gone) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#wake = undefined
    this.#changed = false
  }
}
