/** The sweep over pipeline schedules: each whose time has come makes one pipeline, and gets its next time. */

import { actingAs, can } from '../authorize.js'
import type { Core } from '../core.js'
import { parseCron } from '../cron.js'
import { SignalboxError } from '../errors.js'
import type { Pipeline } from '../pipeline.js'
import { stopSchedule } from '../steps/stop-schedules.js'
import { getProject } from '../store/projects.js'
import {
  findSchedule,
  insertScheduledPipeline,
  listDueSchedules,
  moveSchedule,
  type Schedule,
} from '../store/schedules.js'
import { findUser, type User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { createPipeline } from './create-pipeline.js'
import { scheduleVariables } from './edit-schedule.js'

/** Returns how many pipelines were made. Times that passed while nobody was there make one pipeline together. */
export async function runSchedules(core: Core): Promise<number> {
  let made = 0
  for (const id of await listDueSchedules(core.store.read, core.clock.now())) {
    const schedule = await findSchedule(core.store.read, id)
    if (schedule && (await runDue(core, schedule))) made++
  }
  return made
}

/** Returns whether its time is still to come: nobody has moved it on. */
function moveOn(tx: Tx, schedule: Schedule): Promise<boolean> {
  const next = parseCron(schedule.cron, schedule.cronTimezone).next(tx.now)
  return moveSchedule(tx, schedule.id, schedule.nextRunAt!, next)
}

/**
 * The schedule moves on in the transaction that makes its pipeline: no two of us make one for the same time, and no crash
 * leaves one out. Where there is none to make it moves on all the same, unless the store is away.
 */
async function runDue(core: Core, schedule: Schedule): Promise<boolean> {
  let made = false
  try {
    const pipeline = await runSchedule(core, schedule.id, {
      alongside: async (tx) => {
        if (!(await moveOn(tx, schedule))) throw new SignalboxError('conflict', 'another has run this schedule')
      },
    })
    made = pipeline !== undefined
  } catch (error) {
    const { code } = SignalboxError.from(error)
    if (code === 'conflict') return false
    core.log.warn({ err: error, schedule: schedule.id }, 'a schedule made no pipeline')
    if (code === 'unavailable') return false
  }
  if (!made) await core.store.write((tx) => moveOn(tx, schedule))
  return made
}

/**
 * Makes a schedule's pipeline now, as this user, by default its owner; undefined when the rules leave nothing to run.
 * Throws `not_found`; `invalid` for a ref that does not exist, or that the user may not push to; `forbidden` when the owner
 * is blocked, or may not start pipelines any more: the schedule is switched off then.
 */
export async function runSchedule(
  core: Core,
  scheduleId: number,
  { player, alongside }: { player?: User; alongside?: (tx: Tx) => Promise<void> } = {},
): Promise<Pipeline | undefined> {
  const schedule = await findSchedule(core.store.read, scheduleId)
  if (!schedule) throw new SignalboxError('not_found', `no schedule ${scheduleId}`)
  const user = player ?? (await activeOwner(core, schedule))
  return createPipeline(core, {
    projectId: schedule.projectId,
    ref: schedule.ref,
    source: 'schedule',
    user,
    predefined: [{ key: 'CI_PIPELINE_SCHEDULE_DESCRIPTION', value: schedule.description, raw: true }],
    variables: await scheduleVariables(core, core.store.read, schedule.id),
    onInvalid: 'keep',
    alongside: async (tx, { id }) => {
      await alongside?.(tx)
      await insertScheduledPipeline(tx, schedule.id, id)
    },
  })
}

/** The owner, who must still be allowed to start pipelines; else the schedule is switched off. */
async function activeOwner(core: Core, schedule: Schedule): Promise<User> {
  const [owner, project] = await Promise.all([
    findUser(core.store.read, schedule.ownerId),
    getProject(core.store.read, schedule.projectId),
  ])
  if (owner && (await can(core, actingAs(owner), 'operate', project))) return owner
  await core.store.write((tx) => stopSchedule(core, tx, schedule))
  throw new SignalboxError('forbidden', 'the owner of the schedule is blocked, or may not start pipelines any more')
}
