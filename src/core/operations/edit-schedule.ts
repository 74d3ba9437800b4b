/**
 * Users make, change and delete pipeline schedules, and their variables. A schedule runs as its owner: others must not
 * decide what it runs. Rules: gitlab app/policies/ci/pipeline_schedule_policy.rb
 */

import { type Actor, can, canUpdateRef } from '../authorize.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { parseCron } from '../cron.js'
import { SignalboxError } from '../errors.js'
import type { Project } from '../project.js'
import {
  deleteSchedule as deleteRow,
  findSchedule,
  findScheduleVariables,
  insertSchedule,
  type Schedule,
  saveSchedule,
} from '../store/schedules.js'
import type { Reader, Tx } from '../store/write.js'

/** What people set of a schedule. */
export interface ScheduleInput {
  description: string
  /** A branch or tag by its short name. */
  ref: string
  cron: string
  /** An IANA name. */
  cronTimezone: string
  active: boolean
}

/** Returns the schedule. Throws `invalid` with `details.field` for a cron expression or a time zone that is none. */
export function createSchedule(
  core: Core,
  input: ScheduleInput & { projectId: number; ownerId: number },
): Promise<Schedule> {
  return core.store.write(async (tx) => {
    const { active, ...rest } = input
    return insertSchedule(tx, {
      ...rest,
      active: active ? 1 : 0,
      nextRunAt: nextRun(input, tx.now),
      variables: seal(core, []),
    })
  })
}

/** Returns the schedule as it is now; it runs next at the first time from now on. Throws `not_found`, or as `createSchedule`. */
export function updateSchedule(
  core: Core,
  scheduleId: number,
  changes: Partial<ScheduleInput> & { ownerId?: number },
): Promise<Schedule> {
  return core.store.write(async (tx) => {
    const before = await getSchedule(tx, scheduleId)
    const { active, ...rest } = changes
    const after = { ...before, ...rest }
    const moved = changes.cron !== undefined || changes.cronTimezone !== undefined || (active && before.active === 0)
    await saveSchedule(tx, scheduleId, {
      ...rest,
      ...(active === undefined ? {} : { active: active ? 1 : 0 }),
      ...(moved ? { nextRunAt: nextRun(after, tx.now) } : {}),
    })
    return getSchedule(tx, scheduleId)
  })
}

/** Deletes a schedule; nothing happens when it is gone already. */
export async function deleteSchedule(core: Core, scheduleId: number): Promise<void> {
  await core.store.write((tx) => deleteRow(tx, scheduleId))
}

/** The variables that its pipelines get. */
export async function scheduleVariables(core: Core, from: Reader | Tx, scheduleId: number): Promise<PlanVariable[]> {
  const sealed = await findScheduleVariables(from, scheduleId)
  return sealed ? JSON.parse(core.keys.open(sealed).toString('utf8')) : []
}

/** Sets one variable, or takes it away. Throws `not_found` for a schedule, or a variable to take away, that is not there. */
export function setScheduleVariable(
  core: Core,
  scheduleId: number,
  { key, variable, ownerId }: { key: string; variable: PlanVariable | undefined; ownerId: number },
): Promise<void> {
  return core.store.write(async (tx) => {
    await getSchedule(tx, scheduleId)
    const before = await scheduleVariables(core, tx, scheduleId)
    const others = before.filter((one) => one.key !== key)
    if (!variable && others.length === before.length) throw new SignalboxError('not_found', `no variable ${key}`)
    await saveSchedule(tx, scheduleId, {
      ownerId,
      variables: seal(core, variable ? [...others, variable] : others),
    })
  })
}

/** Whether the actor may delete the schedule, take it over, and see the values of its variables. */
export async function canManageSchedule(
  core: Core,
  actor: Actor,
  project: Project,
  schedule: Schedule,
): Promise<boolean> {
  if (await can(core, actor, 'administer', project)) return true
  return schedule.ownerId === actor.user.id && can(core, actor, 'operate', project)
}

/**
 * As whom the actor changes the schedule: an administrator for its owner, others for themselves. What a maintainer changes
 * is theirs from then on, so that nobody's name runs what another has written. Throws `forbidden`, also for a ref that the
 * actor may not push to.
 */
export async function scheduleEditor(
  core: Core,
  actor: Actor,
  project: Project,
  { schedule, ref = schedule?.ref ?? '' }: { schedule?: Schedule; ref?: string | undefined },
): Promise<number> {
  const may = schedule ? await canManageSchedule(core, actor, project, schedule) : true
  const found = await core.repositories.resolve(project, ref)
  if (!may || !(await canUpdateRef(core.store.read, actor, project, found ?? { name: ref, tag: false }))) {
    throw new SignalboxError('forbidden', '403 Forbidden', { details: { verbatim: true } })
  }
  return schedule && actor.user.isAdmin === 1 ? schedule.ownerId : actor.user.id
}

async function getSchedule(tx: Tx, id: number): Promise<Schedule> {
  const schedule = await findSchedule(tx, id)
  if (!schedule) throw new SignalboxError('not_found', `no schedule ${id}`)
  return schedule
}

function nextRun({ cron, cronTimezone }: Pick<ScheduleInput, 'cron' | 'cronTimezone'>, now: number): number {
  const next = parseCron(cron, cronTimezone).next(now)
  if (next === null) {
    const message = 'never comes'
    throw new SignalboxError('invalid', `cron ${message}`, { details: { field: 'cron', message } })
  }
  return next
}

const seal = (core: Core, variables: readonly PlanVariable[]) => core.keys.seal(Buffer.from(JSON.stringify(variables)))
