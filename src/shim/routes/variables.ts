/** Variables of projects, groups and the instance: three owners, one set of handlers. */
import type { VariableOwner } from '../../core/ci-variable.js'
import { SignalboxError } from '../../core/errors.js'
import { createVariable, deleteVariable, opened, pick, updateVariable } from '../../core/operations/edit-variable.js'
import { countVariables, findVariables, listVariables } from '../../core/store/variables.js'
import type { Call, Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { groupFor, projectRoute, userRoute } from '../call.js'
import { fromVariableSettings, toVariable } from '../convert/variable.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

type Handler = (call: Call, owner: VariableOwner) => Promise<Reply>

const handlers = [
  ['get', '', list],
  ['post', '', create],
  ['get', '/:key', show],
  ['put', '/:key', update],
  ['delete', '/:key', remove],
] as const satisfies readonly (readonly [Route['method'], string, Handler])[]

export const variableRoutes: readonly Route[] = handlers.flatMap(([method, path, handle]) => [
  projectRoute(method, `/projects/:id/variables${path}`, { deed: 'administer', signedIn: true }, (call) =>
    handle(call, { type: 'project', id: call.project.id }),
  ),
  userRoute(method, `/groups/:id/variables${path}`, {}, async (call) =>
    handle(call, { type: 'group', id: (await groupFor(call, 'own')).id }),
  ),
  userRoute(method, `/admin/ci/variables${path}`, { admin: true }, (call) => handle(call, { type: 'instance', id: 0 })),
])

async function list(call: Call, owner: VariableOwner): Promise<Reply> {
  const { core } = call
  const page = requestedPage(call)
  const [rows, total] = await Promise.all([
    listVariables(core.store.read, owner, page),
    countVariables(core.store.read, owner),
  ])
  const body = rows.map((row) => toVariable(opened(core, row)))
  return pageReply(call, page, body, total)
}

async function show(call: Call, owner: VariableOwner): Promise<Reply> {
  const { core } = call
  const { key, scope } = named(call)
  const found = await findVariables(core.store.read, owner, key)
  return told(async () => ({ status: 200, body: toVariable(opened(core, pick(found, scope))) }))
}

async function create({ core, params }: Call, owner: VariableOwner): Promise<Reply> {
  const { value, ...settings } = fromVariableSettings(params)
  const key = params.requiredText('key')
  if (value === undefined) throw wrongParameter('value', 'is missing')
  const hidden = params.boolean('masked_and_hidden') ?? false
  const variable = await createVariable(core, owner, { ...settings, key, value, hidden })
  return { status: 201, body: toVariable(variable) }
}

async function update(call: Call, owner: VariableOwner): Promise<Reply> {
  const changes = fromVariableSettings(call.params)
  return told(async () => ({
    status: 200,
    body: toVariable(await updateVariable(call.core, owner, { ...named(call), changes })),
  }))
}

async function remove(call: Call, owner: VariableOwner): Promise<Reply> {
  return told(async () => {
    await deleteVariable(call.core, owner, named(call))
    return { status: 204 }
  })
}

/** The key of the path; `filter[environment_scope]` picks among equal ones. */
function named({ path, params }: Call): { key: string; scope: string | undefined } {
  return { key: path('key'), scope: params.map('filter')?.text('environment_scope', { max: 255 }) }
}

async function told(act: () => Promise<Reply>): Promise<Reply> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof SignalboxError)) throw error
    if (error.code === 'not_found') throw notFound('Variable')
    if (error.code !== 'conflict') throw error
    const message = "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'"
    throw new SignalboxError('conflict', message, { details: { verbatim: true } })
  }
}
