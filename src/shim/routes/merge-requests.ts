/** Merge requests, as far as pipelines are about them: https://docs.gitlab.com/api/merge_requests/ */
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import type { MergeRequest } from '../../core/merge-request.js'
import { requestRef } from '../../core/merge-request.js'
import { createRequestPipeline } from '../../core/operations/create-request-pipeline.js'
import { changeMergeRequest, openMergeRequest } from '../../core/operations/edit-merge-request.js'
import { countMergeRequests, findMergeRequest, listMergeRequests } from '../../core/store/merge-requests.js'
import { listPipelines } from '../../core/store/pipeline-lists.js'
import { findUser } from '../../core/store/users.js'
import { idFrom, type Reply, type Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toPipeline, toPipelineBasic } from '../convert/pipeline.js'
import { toIso } from '../convert/time.js'
import { toUserBasic } from '../convert/user.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const read = { deed: 'download' } as const
const operate = { deed: 'operate' } as const

export const mergeRequestRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/merge_requests', read, list),
  projectRoute('post', '/projects/:id/merge_requests', operate, open),
  projectRoute('get', '/projects/:id/merge_requests/:iid', read, async (call) => ({
    status: 200,
    body: await entity(call, await requestOf(call)),
  })),
  projectRoute('put', '/projects/:id/merge_requests/:iid', operate, change),
  projectRoute('get', '/projects/:id/merge_requests/:iid/pipelines', read, pipelines),
  projectRoute('post', '/projects/:id/merge_requests/:iid/pipelines', operate, run),
]

async function list(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const page = requestedPage(call)
  const state = params.choice('state', ['opened', 'closed', 'merged', 'all'])
  const filter = {
    projectId: project.id,
    ...defined({
      state: state === 'all' ? undefined : state,
      sourceBranch: params.text('source_branch', { max: 255 }),
    }),
  }
  const rows = await listMergeRequests(core.store.read, filter, page)
  const total = await countMergeRequests(core.store.read, filter)
  return pageReply(call, page, await Promise.all(rows.map((row) => entity(call, row))), total)
}

/** Opens it and starts its first pipeline; a configuration that makes none is no fault of the request. */
async function open(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  if (!actor) throw forbidden()
  const request = await openMergeRequest(core, project, {
    projectId: project.id,
    sourceBranch: params.requiredText('source_branch', { max: 255 }),
    targetBranch: params.requiredText('target_branch', { max: 255 }),
    title: params.requiredText('title', { max: 255 }),
    description: params.text('description', { max: 1_000_000 }) ?? '',
    userId: actor.user.id,
  })
  await createRequestPipeline(core, project, request, { user: actor.user, onInvalid: 'keep' }).catch((error) =>
    core.log.info({ err: error, project: project.id, request: request.iid }, 'a merge request made no pipeline'),
  )
  return { status: 201, body: await entity(call, request) }
}

async function change(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const { iid } = await requestOf(call)
  const event = params.choice('state_event', ['close', 'reopen'])
  const changes = defined({
    title: params.text('title', { max: 255 }) || undefined,
    description: params.text('description', { max: 1_000_000 }),
    state: event === undefined ? undefined : event === 'close' ? ('closed' as const) : ('opened' as const),
  })
  if (Object.keys(changes).length === 0) {
    throw wrongParameter('title, description, state_event', 'are missing, at least one parameter must be provided')
  }
  return {
    status: 200,
    body: await entity(call, await changeMergeRequest(core, { projectId: project.id, iid, changes })),
  }
}

async function pipelines(call: ProjectCall): Promise<Reply> {
  const { core, project } = call
  const request = await requestOf(call)
  const page = requestedPage(call)
  const kinds = ['detached', 'merged_result', 'merge_train'] as const
  const refs = kinds.map((kind) => requestRef(request, kind))
  const found = await Promise.all(
    refs.map((ref) =>
      listPipelines(core.store.read, { projectId: project.id, ref, child: false }, { limit: 100, offset: 0 }),
    ),
  )
  const all = found.flat().sort((a, b) => b.id - a.id)
  const body = all
    .slice(page.offset, page.offset + page.limit)
    .map((row) => toPipelineBasic(row, project, core.externalUrl()))
  return pageReply(call, page, body, all.length)
}

async function run(call: ProjectCall): Promise<Reply> {
  const { core, project, actor } = call
  if (!actor) throw forbidden()
  const { user } = actor
  const pipeline = await createRequestPipeline(core, project, await requestOf(call), { user, onInvalid: 'refuse' })
  return {
    status: 201,
    body: toPipeline(pipeline!, { project, user, externalUrl: core.externalUrl(), coverage: null }),
  }
}

export async function requestOf({ core, project, path }: ProjectCall): Promise<MergeRequest> {
  const iid = idFrom(path('iid'))
  const found = iid === undefined ? undefined : await findMergeRequest(core.store.read, project.id, iid)
  if (!found) throw notFound('Merge Request')
  return found
}

async function entity({ core, project }: ProjectCall, request: MergeRequest): Promise<object> {
  const author = await findUser(core.store.read, request.userId)
  if (!author) throw new SignalboxError('internal', 'internal error')
  return {
    id: request.id,
    iid: request.iid,
    project_id: project.id,
    title: request.title,
    description: request.description,
    state: request.state,
    source_branch: request.sourceBranch,
    target_branch: request.targetBranch,
    source_project_id: project.id,
    target_project_id: project.id,
    author: toUserBasic(author, core.externalUrl()),
    created_at: toIso(request.createdAt),
    updated_at: toIso(request.updatedAt),
    merge_commit_sha: request.mergeCommitSha,
    merge_error: request.mergeError,
    web_url: `${core.externalUrl()}/${project.fullPath}/-/merge_requests/${request.iid}`,
  }
}
