/** Merge trains: https://docs.gitlab.com/api/merge_trains/ */
import { defined } from '../../core/defined.js'
import type { TrainCar } from '../../core/merge-train.js'
import { joinMergeTrain } from '../../core/operations/join-merge-train.js'
import { leaveMergeTrain } from '../../core/operations/leave-merge-train.js'
import { getMergeRequest } from '../../core/store/merge-requests.js'
import { countCars, findCarOf, listCars } from '../../core/store/merge-train-cars.js'
import { findPipeline } from '../../core/store/pipelines.js'
import { findUser } from '../../core/store/users.js'
import type { Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toPipelineBasic } from '../convert/pipeline.js'
import { toIso } from '../convert/time.js'
import { toUserBasic } from '../convert/user.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'
import { requestOf } from './merge-requests.js'

const read = { deed: 'download' } as const
const operate = { deed: 'operate' } as const

export const mergeTrainRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/merge_trains', read, (call) => list(call)),
  projectRoute('get', '/projects/:id/merge_trains/:target_branch', read, (call) =>
    list(call, call.path('target_branch')),
  ),
  projectRoute('get', '/projects/:id/merge_trains/merge_requests/:iid', read, show),
  projectRoute('post', '/projects/:id/merge_trains/merge_requests/:iid', operate, join),
  projectRoute('delete', '/projects/:id/merge_trains/merge_requests/:iid', operate, async (call) => {
    await leaveMergeTrain(call.core, await requestOf(call))
    return { status: 204 }
  }),
]

async function list(call: ProjectCall, targetBranch?: string): Promise<Reply> {
  const { core, project, params } = call
  const page = requestedPage(call)
  const scope = params.choice('scope', ['active', 'complete'])
  const sort = params.choice('sort', ['asc', 'desc']) ?? 'desc'
  const filter = { projectId: project.id, ...defined({ targetBranch, scope }) }
  const cars = await listCars(core.store.read, filter, page, sort)
  const total = await countCars(core.store.read, filter)
  return pageReply(call, page, await Promise.all(cars.map((car) => entity(call, car))), total)
}

async function show(call: ProjectCall): Promise<Reply> {
  const request = await requestOf(call)
  const car = await findCarOf(call.core.store.read, request.id)
  if (!car) throw notFound('Merge Train Merge Request')
  return { status: 200, body: await entity(call, car) }
}

/** Gives the train, as GitLab does. */
async function join(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  if (!actor) throw forbidden()
  for (const name of ['squash', 'auto_merge', 'when_pipeline_succeeds']) {
    if (params.boolean(name)) throw wrongParameter(name, 'is not supported')
  }
  const sha = params.text('sha', { max: 64 })
  const car = await joinMergeTrain(core, project, await requestOf(call), { user: actor.user, ...defined({ sha }) })
  const { projectId, targetBranch } = car
  const filter = { projectId, targetBranch, scope: 'active' as const }
  const cars = await listCars(core.store.read, filter, { limit: 100, offset: 0 }, 'asc')
  return { status: 201, body: await Promise.all(cars.map((one) => entity(call, one))) }
}

async function entity({ core, project }: ProjectCall, car: TrainCar): Promise<object> {
  const from = core.store.read
  const request = await getMergeRequest(from, car.mergeRequestId)
  const user = await findUser(from, car.userId)
  const pipeline = car.pipelineId === null ? undefined : await findPipeline(from, car.pipelineId)
  return {
    id: car.id,
    merge_request: {
      id: request.id,
      iid: request.iid,
      project_id: project.id,
      title: request.title,
      description: request.description,
      state: request.state,
      created_at: toIso(request.createdAt),
      updated_at: toIso(request.updatedAt),
      web_url: `${core.externalUrl()}/${project.fullPath}/-/merge_requests/${request.iid}`,
    },
    user: user ? toUserBasic(user, core.externalUrl()) : null,
    pipeline: pipeline ? toPipelineBasic(pipeline, project, core.externalUrl()) : null,
    created_at: toIso(car.createdAt),
    updated_at: toIso(car.updatedAt),
    target_branch: car.targetBranch,
    status: car.status,
    merged_at: toIso(car.mergedAt),
    duration: car.mergedAt === null ? null : Math.floor((car.mergedAt - car.createdAt) / 1000),
  }
}
