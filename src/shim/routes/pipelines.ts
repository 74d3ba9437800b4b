/** Pipelines of a project. */

import { can, canUpdatePipeline } from '../../core/authorize.js'
import type { PlanVariable } from '../../core/ci-config/variables.js'
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import { is, jobStatuses } from '../../core/lifecycle/job-machine.js'
import { cancelPipeline } from '../../core/operations/cancel-pipeline.js'
import { createPipeline } from '../../core/operations/create-pipeline.js'
import { deletePipeline } from '../../core/operations/delete-pipeline.js'
import { renamePipeline } from '../../core/operations/rename-pipeline.js'
import { retryPipeline } from '../../core/operations/retry-pipeline.js'
import { showPipelineVariables } from '../../core/operations/show-pipeline-variables.js'
import { type Pipeline, pipelineSources } from '../../core/pipeline.js'
import { pipelineCoverage } from '../../core/store/jobs.js'
import { countPipelines, listPipelines, type PipelineFilter, pipelineOrders } from '../../core/store/pipeline-lists.js'
import { findPipeline, getPipeline } from '../../core/store/pipelines.js'
import { findUser } from '../../core/store/users.js'
import { idFrom, type Reply, type Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { toPipeline, toPipelineBasic, toPipelineVariable } from '../convert/pipeline.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage, withNext } from '../pages.js'

const read = { deed: 'read' } as const
const operate = { deed: 'operate' } as const

export const pipelineRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/pipelines', read, list),
  projectRoute('post', '/projects/:id/pipeline', operate, create),
  projectRoute('get', '/projects/:id/pipelines/latest', read, latest),
  projectRoute('get', '/projects/:id/pipelines/:pipeline_id', read, async (call) =>
    shown(call, await pipelineOf(call)),
  ),
  projectRoute('get', '/projects/:id/pipelines/:pipeline_id/variables', operate, variables),
  projectRoute('put', '/projects/:id/pipelines/:pipeline_id/metadata', { ...operate, jobToken: true }, rename),
  projectRoute('post', '/projects/:id/pipelines/:pipeline_id/retry', operate, retry),
  projectRoute('post', '/projects/:id/pipelines/:pipeline_id/cancel', operate, cancel),
  projectRoute('delete', '/projects/:id/pipelines/:pipeline_id', { deed: 'own' }, async (call) => {
    const { id } = await pipelineOf(call)
    await deletePipeline(call.core, { pipelineId: id, userId: call.actor?.user.id ?? null })
    return { status: 204 }
  }),
]

const scopes = ['running', 'pending', 'finished', 'branches', 'tags'] as const

async function list(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const page = requestedPage(call)
  const filter = fromPipelineFilter(params, project.id)
  const order = {
    by: params.choice('order_by', pipelineOrders) ?? 'id',
    sort: params.choice('sort', ['asc', 'desc']) ?? 'desc',
  }
  const [rows, total] = await Promise.all([
    listPipelines(core.store.read, filter, withNext(page), order),
    countPipelines(core.store.read, filter),
  ])
  const body = rows.map((row) => ({ ...toPipelineBasic(row, project, core.externalUrl()), name: row.name }))
  return pageReply(call, page, body, total)
}

/** Child pipelines are shown only where they are asked for: gitlab app/finders/ci/pipelines_finder.rb. */
export function fromPipelineFilter(params: Params, projectId: number): PipelineFilter {
  const text = (name: string) => params.text(name, { max: 1024 })
  const iids = numbers(params, 'iids')
  const source = params.choice('source', pipelineSources)
  const wanted = {
    scope: params.choice('scope', scopes),
    status: params.choice('status', jobStatuses),
    source,
    ids: numbers(params, 'ids'),
    iids,
    child: iids === undefined && source !== 'parent_pipeline' ? (false as const) : undefined,
    ref: text('ref'),
    sha: text('sha'),
    name: text('name'),
    username: text('username'),
    yamlErrors: params.boolean('yaml_errors'),
    updatedBefore: params.time('updated_before'),
    updatedAfter: params.time('updated_after'),
    createdBefore: params.time('created_before'),
    createdAfter: params.time('created_after'),
  }
  return { projectId, ...defined(wanted) }
}

const mostNumbers = 1000

/** A list of whole numbers, or one; undefined where none is given. */
function numbers(params: Params, name: string): number[] | undefined {
  const given = params.raw(name)
  if (given === undefined || given === null || given === '') return undefined
  const list = Array.isArray(given) ? given : [given]
  if (list.length > mostNumbers) throw wrongParameter(name, 'are too many')
  const found = list.map((one) => (typeof one === 'object' ? undefined : idFrom(String(one))))
  if (found.includes(undefined)) throw wrongParameter(name)
  return found.length === 0 ? undefined : (found as number[])
}

async function create(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  const ref = params.requiredText('ref', { max: 1024 })
  const inputs = fromInputs(params)
  const pipeline = await createPipeline(core, {
    projectId: project.id,
    ref,
    source: 'api',
    user: actor?.user ?? null,
    variables: fromVariables(params),
    ...(inputs === undefined ? {} : { inputs }),
    onInvalid: 'refuse',
  })
  return shown(call, pipeline!, 201)
}

const mostVariables = 500
const longestValue = 64 * 1024

/** `variables: [{key, value, variable_type}]`. Values that are numbers or booleans count as their text. */
function fromVariables(params: Params): PlanVariable[] {
  const given = params.maps('variables') ?? []
  if (given.length > mostVariables) throw wrongParameter('variables', 'are too many')
  return given.map((one) => {
    const key = one.text('key', { max: 255 })
    if (key === undefined || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) throw wrongParameter('variables[key]')
    const value = one.text('value', { max: longestValue, loose: true })
    if (value === undefined) throw wrongParameter('variables[value]', 'is missing')
    const file = one.choice('variable_type', ['env_var', 'file']) === 'file'
    return { key, value, ...(file ? { file } : {}) }
  })
}

/** `inputs: {name: value}`, of any type that an input can have. */
export function fromInputs(params: Params, name = 'inputs'): Record<string, unknown> | undefined {
  const given = params.map(name)
  if (!given?.keys().length) return undefined
  return Object.fromEntries(given.keys().map((name) => [name, given.raw(name)]))
}

async function latest(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const ref = params.text('ref', { max: 1024 }) || project.defaultBranch
  const wanted = { projectId: project.id, ref, child: false } as const
  const [newest] = await listPipelines(core.store.read, wanted, { limit: 1, offset: 0 })
  if (!newest) throw notFound('Pipeline')
  return shown(call, newest)
}

/** They may be secret: for maintainers, and whoever has given them. Rule: gitlab app/policies/ci/pipeline_policy.rb */
async function variables(call: ProjectCall): Promise<Reply> {
  const { id, userId } = await pipelineOf(call)
  const { core, actor, project } = call
  const theirs = userId !== null && userId === actor?.user.id
  if (!theirs && !(await can(core, actor, 'administer', project))) throw forbidden()
  return { status: 200, body: (await showPipelineVariables(call.core, id)).map(toPipelineVariable) }
}

async function retry(call: ProjectCall): Promise<Reply> {
  const { id } = await changeablePipeline(call)
  return shown(call, await retryPipeline(call.core, { pipelineId: id, userId: call.actor?.user.id ?? null }), 201)
}

/** GitLab answers with the pipeline as it is when there is nothing to cancel, and so do we. */
async function cancel(call: ProjectCall): Promise<Reply> {
  const { id } = await changeablePipeline(call)
  try {
    return await shown(call, await cancelPipeline(call.core, { pipelineId: id, userId: call.actor?.user.id ?? null }))
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'invalid') {
      return shown(call, await getPipeline(call.core.store.read, id))
    }
    throw error
  }
}

/** The pipeline of the path, if it is this project's. */
export async function pipelineOf(call: ProjectCall): Promise<Pipeline> {
  const pipeline = await findPipeline(call.core.store.read, idOf(call, 'pipeline_id', 'Pipeline'))
  if (pipeline?.projectId !== call.project.id) throw notFound('Pipeline')
  return pipeline
}

/** The pipeline of the path, for those who may change what runs on its ref. */
async function changeablePipeline(call: ProjectCall): Promise<Pipeline> {
  const pipeline = await pipelineOf(call)
  await requireRef(call, pipeline)
  return pipeline
}

/** Throws `forbidden` where the pipeline's ref is protected and the caller may not push to it. */
export async function requireRef({ core, actor, project }: ProjectCall, pipeline: Pipeline): Promise<void> {
  if (!(await canUpdatePipeline(core.store.read, actor, project, pipeline))) throw forbidden()
}

async function rename(call: ProjectCall): Promise<Reply> {
  const { id } = await changeablePipeline(call)
  const name = call.params.text('name')
  if (name === undefined) throw wrongParameter('name', 'is missing')
  return shown(call, await renamePipeline(call.core, { pipelineId: id, name }))
}

async function shown(
  { core, project, actor }: Pick<ProjectCall, 'core' | 'project' | 'actor'>,
  pipeline: Pipeline,
  status = 200,
): Promise<Reply> {
  const { userId } = pipeline
  const own = userId !== null && userId === actor?.user.id ? actor.user : undefined
  const user = own ?? (userId === null ? undefined : await findUser(core.store.read, userId))
  const coverage = is('completed', pipeline.status) ? await pipelineCoverage(core.store.read, pipeline.id) : null
  return { status, body: toPipeline(pipeline, { project, user, externalUrl: core.externalUrl(), coverage }) }
}
