/** Trigger tokens of a project, and the pipelines that they start. */
import type { PlanVariable } from '../../core/ci-config/variables.js'
import { SignalboxError } from '../../core/errors.js'
import { createTrigger, deleteTrigger, updateTrigger } from '../../core/operations/edit-trigger.js'
import { triggerPipeline } from '../../core/operations/trigger-pipeline.js'
import { findProject, findProjectByPath } from '../../core/store/projects.js'
import { usersById } from '../../core/store/related.js'
import { findTrigger, listTriggers, type Trigger } from '../../core/store/triggers.js'
import { findUser, type User } from '../../core/store/users.js'
import { type Call, idFrom, type Reply, type Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute, tokenRoute } from '../call.js'
import { toPipeline } from '../convert/pipeline.js'
import { toIso } from '../convert/time.js'
import { toUserBasic } from '../convert/user.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const administer = { deed: 'administer' } as const

export const triggerRoutes: readonly Route[] = [
  tokenRoute('post', '/projects/:id/trigger/pipeline', (call) =>
    start(call, call.params.requiredText('ref', { max: 1024 })),
  ),
  tokenRoute('post', '/projects/:id/ref/:ref/trigger/pipeline', (call) => start(call, call.path('ref'))),
  projectRoute('get', '/projects/:id/triggers', administer, list),
  projectRoute('post', '/projects/:id/triggers', administer, create),
  projectRoute('get', '/projects/:id/triggers/:trigger_id', administer, async (call) => ({
    status: 200,
    body: await shown(call, await triggerOf(call)),
  })),
  projectRoute('put', '/projects/:id/triggers/:trigger_id', administer, async (call) => {
    const { id, ownerId } = await triggerOf(call)
    // It starts pipelines as its owner. Rule: gitlab app/policies/ci/trigger_policy.rb
    const { user } = call.actor!
    if (ownerId !== user.id && user.isAdmin === 0) throw forbidden()
    const description = call.params.requiredText('description', { max: 1024 })
    return { status: 200, body: await shown(call, await updateTrigger(call.core, id, description)) }
  }),
  projectRoute('delete', '/projects/:id/triggers/:trigger_id', administer, async (call) => {
    await deleteTrigger(call.core, (await triggerOf(call)).id)
    return { status: 204 }
  }),
]

/** Whoever has the token may: nobody signs in. */
async function start(call: Call, ref: string): Promise<Reply> {
  const { core, params, path } = call
  const given = path('id')
  const id = idFrom(given)
  const { read } = core.store
  const project = id === undefined ? await findProjectByPath(read, given) : await findProject(read, id)
  const token = params.requiredText('token', { max: 4096 })
  if (!project) throw notFound()
  const variables = fromVariableMap(params)
  const inputs = params.map('inputs')
  try {
    const pipeline = await triggerPipeline(core, {
      projectId: project.id,
      token,
      ref,
      variables,
      ...(inputs?.keys().length
        ? { inputs: Object.fromEntries(inputs.keys().map((name) => [name, inputs.raw(name)])) }
        : {}),
    })
    const user = pipeline.userId === null ? undefined : await findUser(read, pipeline.userId)
    return { status: 201, body: toPipeline(pipeline, { project, user, externalUrl: core.externalUrl() }) }
  } catch (error) {
    if (error instanceof SignalboxError && ['not_found', 'unauthenticated', 'fenced'].includes(error.code)) {
      throw notFound()
    }
    throw error
  }
}

const mostVariables = 500
const longestValue = 64 * 1024

/** `variables[KEY]=value`: texts only. */
function fromVariableMap(params: Params): PlanVariable[] {
  const given = params.map('variables')
  if (!given) return []
  const keys = given.keys()
  if (keys.length > mostVariables) throw wrongParameter('variables', 'are too many')
  return keys.map((key) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) || key.length > 255) throw wrongParameter('variables')
    const value = given.raw(key)
    if (typeof value !== 'string' || value.length > longestValue) {
      throw wrongParameter('variables', 'needs to be a map of key-valued strings')
    }
    return { key, value }
  })
}

async function list(call: ProjectCall): Promise<Reply> {
  const page = requestedPage(call)
  const rows = await listTriggers(call.core.store.read, call.project.id, { ...page, limit: page.perPage + 1 })
  return pageReply(call, page, await entities(call, rows), undefined)
}

async function create(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  const description = params.requiredText('description', { max: 1024 })
  const { trigger, token } = await createTrigger(core, {
    projectId: project.id,
    ownerId: actor!.user.id,
    description,
  })
  return { status: 201, body: { ...(await shown(call, trigger)), token } }
}

async function triggerOf(call: ProjectCall): Promise<Trigger> {
  const trigger = await findTrigger(call.core.store.read, idOf(call, 'trigger_id', 'Trigger'))
  if (trigger?.projectId !== call.project.id) throw notFound('Trigger')
  return trigger
}

/** The token is shown once, when it is made; later its first characters. */
async function entities({ core }: Call, rows: readonly Trigger[]): Promise<object[]> {
  const ids = rows.map((row) => row.ownerId)
  const owners = await usersById(core.store.read, ids)
  return rows.map((row) => toListed(row, owners.get(row.ownerId), core.externalUrl()))
}

async function shown(call: Call, trigger: Trigger): Promise<object> {
  const [entity] = await entities(call, [trigger])
  return entity!
}

function toListed(trigger: Trigger, owner: User | undefined, externalUrl: string): object {
  return {
    id: trigger.id,
    token: trigger.tokenHint,
    description: trigger.description,
    created_at: toIso(trigger.createdAt),
    updated_at: toIso(trigger.updatedAt),
    deleted_at: null,
    last_used: toIso(trigger.lastUsedAt),
    expires_at: null,
    owner: owner ? toUserBasic(owner, externalUrl) : null,
  }
}
