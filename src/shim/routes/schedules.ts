/** Pipeline schedules of a project. */

import type { PlanVariable } from '../../core/ci-config/variables.js'
import { defined } from '../../core/defined.js'
import {
  canManageSchedule,
  createSchedule,
  deleteSchedule,
  type ScheduleInput,
  scheduleEditor,
  scheduleVariables,
  setScheduleVariable,
  updateSchedule,
} from '../../core/operations/edit-schedule.js'
import { runSchedule } from '../../core/operations/run-schedules.js'
import { countPipelines, listPipelines } from '../../core/store/pipeline-lists.js'
import { findPipeline } from '../../core/store/pipelines.js'
import { usersById } from '../../core/store/related.js'
import { findSchedule, listSchedules, type Schedule } from '../../core/store/schedules.js'
import type { User } from '../../core/store/users.js'
import type { Reply, Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { toPipelineBasic, toPipelineVariable } from '../convert/pipeline.js'
import { toIso } from '../convert/time.js'
import { toUserBasic } from '../convert/user.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage, withNext } from '../pages.js'
import { fromPipelineFilter } from './pipelines.js'

const read = { deed: 'read', signedIn: true } as const
const operate = { deed: 'operate' } as const
const base = '/projects/:id/pipeline_schedules'
const one = `${base}/:schedule_id`

export const scheduleRoutes: readonly Route[] = [
  projectRoute('get', base, read, list),
  projectRoute('post', base, operate, create),
  projectRoute('get', one, read, async (call) => ({ status: 200, body: await detailed(call, await scheduleOf(call)) })),
  projectRoute('put', one, operate, update),
  projectRoute('delete', one, operate, remove),
  projectRoute('get', `${one}/pipelines`, read, listPipelinesOf),
  projectRoute('post', `${one}/play`, operate, play),
  projectRoute('post', `${one}/take_ownership`, operate, takeOwnership),
  projectRoute('post', `${one}/variables`, operate, addVariable),
  projectRoute('get', `${one}/variables/:key`, read, showVariable),
  projectRoute('put', `${one}/variables/:key`, operate, changeVariable),
  projectRoute('delete', `${one}/variables/:key`, operate, removeVariable),
]

async function list(call: ProjectCall): Promise<Reply> {
  const scope = call.params.choice('scope', ['active', 'inactive'])
  const page = requestedPage(call)
  const rows = await listSchedules(
    call.core.store.read,
    { projectId: call.project.id, ...(scope === undefined ? {} : { active: scope === 'active' }) },
    { ...page, limit: page.perPage + 1 },
  )
  return pageReply(call, page, await entities(call, rows), undefined)
}

/** What a request says of a schedule; what it does not name is absent. */
function fromSchedule(params: Params): Partial<ScheduleInput> {
  const settings = {
    description: params.text('description', { max: 255 }),
    ref: params.text('ref', { max: 1024 })?.replace(/^refs\/(heads|tags)\//, ''),
    cron: params.text('cron', { max: 255 }),
    cronTimezone: params.text('cron_timezone', { max: 64 }),
    active: params.boolean('active'),
  }
  return defined(settings)
}

async function create(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  for (const name of ['description', 'ref', 'cron']) params.requiredText(name)
  const settings = fromSchedule(params)
  const ownerId = await scheduleEditor(core, actor!, project, { ref: settings.ref })
  const schedule = await createSchedule(core, {
    description: '',
    ref: '',
    cron: '',
    cronTimezone: 'UTC',
    active: true,
    ...settings,
    projectId: project.id,
    ownerId,
  })
  return { status: 201, body: await detailed(call, schedule) }
}

async function update(call: ProjectCall): Promise<Reply> {
  const settings = fromSchedule(call.params)
  const { id, ownerId } = await edited(call, settings.ref)
  const schedule = await updateSchedule(call.core, id, { ...settings, ownerId })
  return { status: 200, body: await detailed(call, schedule) }
}

async function remove(call: ProjectCall): Promise<Reply> {
  await deleteSchedule(call.core, (await managedOf(call)).id)
  return { status: 204 }
}

async function play(call: ProjectCall): Promise<Reply> {
  const { core, project, actor } = call
  const { id, ref } = await scheduleOf(call)
  await scheduleEditor(core, actor!, project, { ref })
  await runSchedule(core, id, { player: actor!.user })
  return { status: 201, body: { message: '201 Created' } }
}

async function takeOwnership(call: ProjectCall): Promise<Reply> {
  const { id, ownerId } = await managedOf(call)
  const userId = call.actor!.user.id
  const schedule = await updateSchedule(call.core, id, { ownerId: userId })
  return { status: ownerId === userId ? 200 : 201, body: await detailed(call, schedule) }
}

const longestValue = 64 * 1024

/** `known`: what is there already, of which stays what the request does not name. */
function fromVariable(params: Params, key: string | undefined, known?: PlanVariable): PlanVariable {
  if (key === undefined || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) throw wrongParameter('key')
  const value = params.text('value', { max: longestValue, loose: true }) ?? known?.value
  if (value === undefined) throw wrongParameter('value', 'is missing')
  const type = params.choice('variable_type', ['env_var', 'file'])
  const file = type === undefined ? known?.file : type === 'file'
  return { key, value, ...(file ? { file } : {}) }
}

async function addVariable(call: ProjectCall): Promise<Reply> {
  const { id, ownerId } = await edited(call)
  const variable = fromVariable(call.params, call.params.text('key', { max: 255 }))
  await setScheduleVariable(call.core, id, { key: variable.key, variable, ownerId })
  return { status: 201, body: toPipelineVariable(variable) }
}

async function changeVariable(call: ProjectCall): Promise<Reply> {
  const { id, ownerId } = await edited(call)
  const known = await knownVariable(call, id)
  const variable = fromVariable(call.params, known.key, known)
  await setScheduleVariable(call.core, id, { key: known.key, variable, ownerId })
  return { status: 200, body: toPipelineVariable(variable) }
}

async function showVariable(call: ProjectCall): Promise<Reply> {
  const { id } = await managedOf(call)
  return { status: 200, body: toPipelineVariable(await knownVariable(call, id)) }
}

/** Answers with what it was: gitlab lib/api/ci/pipeline_schedules.rb. */
async function removeVariable(call: ProjectCall): Promise<Reply> {
  const { id, ownerId } = await edited(call)
  const known = await knownVariable(call, id)
  await setScheduleVariable(call.core, id, { key: known.key, variable: undefined, ownerId })
  return { status: 202, body: toPipelineVariable(known) }
}

async function knownVariable(call: ProjectCall, scheduleId: number): Promise<PlanVariable> {
  const all = await scheduleVariables(call.core, call.core.store.read, scheduleId)
  const known = all.find(({ key }) => key === call.path('key'))
  if (!known) throw notFound('Pipeline Schedule Variable')
  return known
}

async function scheduleOf(call: ProjectCall): Promise<Schedule> {
  const schedule = await findSchedule(call.core.store.read, idOf(call, 'schedule_id', 'Pipeline Schedule'))
  if (schedule?.projectId !== call.project.id) throw notFound('Pipeline Schedule')
  return schedule
}

/** The schedule of the path, for those who may delete it and take it over. */
async function managedOf(call: ProjectCall): Promise<Schedule> {
  const schedule = await scheduleOf(call)
  if (!(await canManageSchedule(call.core, call.actor!, call.project, schedule))) throw forbidden()
  return schedule
}

/** The schedule of the path for those who may change it, and whose it is then. `ref`: what it is to run. */
async function edited(call: ProjectCall, ref?: string): Promise<{ id: number; ownerId: number }> {
  const schedule = await scheduleOf(call)
  return { id: schedule.id, ownerId: await scheduleEditor(call.core, call.actor!, call.project, { schedule, ref }) }
}

async function listPipelinesOf(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const { id } = await scheduleOf(call)
  const page = requestedPage(call)
  const filter = { ...fromPipelineFilter(params, project.id), scheduleId: id }
  const order = { by: 'id', sort: params.choice('sort', ['asc', 'desc']) ?? 'asc' } as const
  const [rows, total] = await Promise.all([
    listPipelines(core.store.read, filter, withNext(page), order),
    countPipelines(core.store.read, filter),
  ])
  const body = rows.map((row) => toPipelineBasic(row, project, core.externalUrl()))
  return pageReply(call, page, body, total)
}

async function entities({ core }: ProjectCall, rows: readonly Schedule[]): Promise<object[]> {
  const ids = rows.map((row) => row.ownerId)
  const owners = await usersById(core.store.read, ids)
  return rows.map((row) => toListed(row, owners.get(row.ownerId), core.externalUrl()))
}

async function shown(call: ProjectCall, schedule: Schedule): Promise<object> {
  const [entity] = await entities(call, [schedule])
  return entity!
}

function toListed(schedule: Schedule, owner: User | undefined, externalUrl: string): object {
  return {
    id: schedule.id,
    description: schedule.description,
    ref: schedule.ref,
    cron: schedule.cron,
    cron_timezone: schedule.cronTimezone,
    next_run_at: toIso(schedule.nextRunAt),
    active: schedule.active === 1,
    created_at: toIso(schedule.createdAt),
    updated_at: toIso(schedule.updatedAt),
    owner: owner ? toUserBasic(owner, externalUrl) : null,
    inputs: [],
  }
}

async function detailed(call: ProjectCall, schedule: Schedule): Promise<object> {
  const { core, project, actor } = call
  const { read: from } = core.store
  const seesVariables = await canManageSchedule(core, actor!, project, schedule)
  const last = schedule.lastPipelineId === null ? undefined : await findPipeline(from, schedule.lastPipelineId)
  return {
    ...(await shown(call, schedule)),
    last_pipeline: last ? { id: last.id, sha: last.sha, ref: last.ref, status: last.status } : null,
    ...(seesVariables ? { variables: (await scheduleVariables(core, from, schedule.id)).map(toPipelineVariable) } : {}),
  }
}
