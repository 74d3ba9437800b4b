/** Pipeline schedules of a project. */

import type { PlanVariable } from '../../core/ci-config/plan.js'
import { defined } from '../../core/defined.js'
import {
  createSchedule,
  deleteSchedule,
  type ScheduleInput,
  scheduleVariables,
  setScheduleVariable,
  updateSchedule,
} from '../../core/operations/edit-schedule.js'
import { runSchedule } from '../../core/operations/run-schedules.js'
import { findPipeline } from '../../core/store/pipelines.js'
import { usersById } from '../../core/store/related.js'
import { findSchedule, listSchedules, type Schedule } from '../../core/store/schedules.js'
import type { User } from '../../core/store/users.js'
import type { Reply, Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { toPipelineVariable } from '../convert/pipeline.js'
import { toIso } from '../convert/time.js'
import { toUserBasic } from '../convert/user.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

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
  projectRoute('post', `${one}/play`, operate, play),
  projectRoute('post', `${one}/take_ownership`, operate, takeOwnership),
  projectRoute('post', `${one}/variables`, operate, addVariable),
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
  const schedule = await createSchedule(core, {
    description: '',
    ref: '',
    cron: '',
    cronTimezone: 'UTC',
    active: true,
    ...fromSchedule(params),
    projectId: project.id,
    ownerId: actor!.user.id,
  })
  return { status: 201, body: await detailed(call, schedule) }
}

async function update(call: ProjectCall): Promise<Reply> {
  const { id } = await scheduleOf(call)
  const schedule = await updateSchedule(call.core, id, fromSchedule(call.params))
  return { status: 200, body: await detailed(call, schedule) }
}

async function remove(call: ProjectCall): Promise<Reply> {
  await deleteSchedule(call.core, (await scheduleOf(call)).id)
  return { status: 204 }
}

async function play(call: ProjectCall): Promise<Reply> {
  await runSchedule(call.core, (await scheduleOf(call)).id)
  return { status: 201, body: { message: '201 Created' } }
}

async function takeOwnership(call: ProjectCall): Promise<Reply> {
  const { id, ownerId } = await scheduleOf(call)
  const userId = call.actor!.user.id
  const schedule = await updateSchedule(call.core, id, { ownerId: userId })
  return { status: ownerId === userId ? 200 : 201, body: await detailed(call, schedule) }
}

const longestValue = 64 * 1024

function fromVariable(params: Params, key: string | undefined): PlanVariable {
  if (key === undefined || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) throw wrongParameter('key')
  const value = params.text('value', { max: longestValue, loose: true })
  if (value === undefined) throw wrongParameter('value', 'is missing')
  const file = params.choice('variable_type', ['env_var', 'file']) === 'file'
  return { key, value, ...(file ? { file } : {}) }
}

async function addVariable(call: ProjectCall): Promise<Reply> {
  const { id } = await scheduleOf(call)
  const variable = fromVariable(call.params, call.params.text('key', { max: 255 }))
  await setScheduleVariable(call.core, id, variable.key, variable)
  return { status: 201, body: toPipelineVariable(variable) }
}

async function changeVariable(call: ProjectCall): Promise<Reply> {
  const { id } = await scheduleOf(call)
  const key = call.path('key')
  const known = await scheduleVariables(call.core, call.core.store.read, id)
  if (!known.some((variable) => variable.key === key)) throw notFound('Pipeline Schedule Variable')
  const variable = fromVariable(call.params, key)
  await setScheduleVariable(call.core, id, key, variable)
  return { status: 200, body: toPipelineVariable(variable) }
}

async function removeVariable(call: ProjectCall): Promise<Reply> {
  const { id } = await scheduleOf(call)
  await setScheduleVariable(call.core, id, call.path('key'), undefined)
  return { status: 202 }
}

async function scheduleOf(call: ProjectCall): Promise<Schedule> {
  const schedule = await findSchedule(call.core.store.read, idOf(call, 'schedule_id', 'Pipeline Schedule'))
  if (schedule?.projectId !== call.project.id) throw notFound('Pipeline Schedule')
  return schedule
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
  const { core } = call
  const { read: from } = core.store
  const last = schedule.lastPipelineId === null ? undefined : await findPipeline(from, schedule.lastPipelineId)
  return {
    ...(await shown(call, schedule)),
    last_pipeline: last ? { id: last.id, sha: last.sha, ref: last.ref, status: last.status } : null,
    variables: (await scheduleVariables(core, from, schedule.id)).map(toPipelineVariable),
  }
}
