/** The shape of a pipeline, which does not change while it runs: `GET /pipelines/:id/graph`. */
import { can } from '../core/authorize.js'
import { listUpstreams } from '../core/store/downstream.js'
import { listCurrentJobs, listPipelineNeeds } from '../core/store/jobs.js'
import { listStages } from '../core/store/pipelines.js'
import { getProject } from '../core/store/projects.js'
import type { Reader } from '../core/store/write.js'
import type { Route, UserCall } from '../http/call.js'
import { pipelineOf } from './found.js'
import { signedInRoute } from './route.js'

export const graphRoutes: readonly Route[] = [
  signedInRoute('get', '/pipelines/:id/graph', async (call) => {
    const pipeline = await pipelineOf(call)
    const { read } = call.core.store
    const project = await getProject(read, pipeline.projectId)
    const stages = await listStages(read, pipeline.id)
    return {
      status: 200,
      body: {
        id: pipeline.id,
        project_id: project.id,
        project_path: project.fullPath,
        may_operate: await can(call.core, call.actor, 'operate', project),
        upstream: await upstreamOf(call, pipeline.id),
        stages: stages.map((stage) => stage.name),
        needs: await needsById(read, pipeline.id),
      },
    }
  }),
]

/** The pipeline whose trigger job has made this one, for those who may see it. */
async function upstreamOf({ core, actor }: UserCall, pipelineId: number): Promise<object | null> {
  const [, upstream] = await listUpstreams(core.store.read, pipelineId, 2)
  if (!upstream) return null
  const project = await getProject(core.store.read, upstream.projectId)
  if (!(await can(core, actor, 'read', project))) return null
  return { id: upstream.id, project_path: project.fullPath }
}

/** By job: the ids of those that it needs. A job that comes after whole stages is not here. */
async function needsById(from: Reader, pipelineId: number): Promise<Record<number, number[]>> {
  const jobs = await listCurrentJobs(from, pipelineId)
  const byName = new Map(jobs.map((job) => [job.name, job.id]))
  const needs: Record<number, number[]> = {}
  for (const job of jobs) if (job.scheduling === 'dag') needs[job.id] = []
  for (const { jobId, name } of await listPipelineNeeds(from, pipelineId)) {
    const needed = byName.get(name)
    if (needed !== undefined) needs[jobId]?.push(needed)
  }
  return needs
}
