/** What a path names, for those who may see it. An id that is not there and one that may not be seen look the same. */
import { can } from '../core/authorize.js'
import { SignalboxError } from '../core/errors.js'
import type { Job } from '../core/job.js'
import type { Pipeline } from '../core/pipeline.js'
import type { Project } from '../core/project.js'
import { findJob } from '../core/store/jobs.js'
import { findPipeline } from '../core/store/pipelines.js'
import { findProject, findProjectByPath, getProject } from '../core/store/projects.js'
import { idFrom, type UserCall } from '../http/call.js'

/** The pipeline of `:id`. Throws `not_found`. */
export async function pipelineOf(call: UserCall): Promise<Pipeline> {
  const id = idFrom(call.path('id'))
  const pipeline = id === undefined ? undefined : await findPipeline(call.core.store.read, id)
  if (!pipeline || !(await mayRead(call, pipeline.projectId))) {
    throw new SignalboxError('not_found', `no pipeline ${call.path('id')}`)
  }
  return pipeline
}

/** The job of `:id`. Throws `not_found`. */
export async function jobOf(call: UserCall): Promise<Job> {
  const id = idFrom(call.path('id'))
  const job = id === undefined ? undefined : await findJob(call.core.store.read, id)
  if (!job || !(await mayRead(call, job.projectId))) {
    throw new SignalboxError('not_found', `no job ${call.path('id')}`)
  }
  return job
}

/** The job, for those who may operate its project. Throws `forbidden` too. */
export async function operatedJobOf(call: UserCall): Promise<Job> {
  const job = await jobOf(call)
  if (!(await can(call.core, call.actor, 'operate', await getProject(call.core.store.read, job.projectId)))) {
    throw new SignalboxError('forbidden', 'this is for those who may operate the project of the job')
  }
  return job
}

/** The project of `:id`, which is its id or its path. Throws `not_found`. */
export async function projectOf(call: UserCall): Promise<Project> {
  const given = call.path('id')
  const id = idFrom(given)
  const { read } = call.core.store
  const project = await (id === undefined ? findProjectByPath(read, given) : findProject(read, id))
  if (project && (await can(call.core, call.actor, 'read', project))) return project
  throw new SignalboxError('not_found', 'there is no such project')
}

async function mayRead(call: UserCall, projectId: number): Promise<boolean> {
  return can(call.core, call.actor, 'read', await getProject(call.core.store.read, projectId))
}
