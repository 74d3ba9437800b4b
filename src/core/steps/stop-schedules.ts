/** Schedules run as their owners: those whose owner may start pipelines no longer are switched off, and the owner is told. */
import { actingAs, canIn } from '../authorize.js'
import type { Core } from '../core.js'
import { findProject } from '../store/projects.js'
import { listActiveSchedulesOf, type Schedule, saveSchedule } from '../store/schedules.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { record } from './record.js'

/**
 * Looks at the schedules of a user who has lost a level or was blocked, in every project: the level in one may have come from
 * afar. Where a level ends by time or with a share, the schedule's next run looks.
 */
export async function stopSchedules(core: Core, tx: Tx, userId: number): Promise<void> {
  const schedules = await listActiveSchedulesOf(tx, userId)
  if (schedules.length === 0) return
  const owner = actingAs(await findUser(tx, userId))
  for (const schedule of schedules) {
    const project = await findProject(tx, schedule.projectId)
    if (project && !(await canIn(tx, owner, 'operate', project))) await stopSchedule(core, tx, schedule)
  }
}

/** Switches a schedule off. The event is what its owner is told by. */
export async function stopSchedule(
  core: Core,
  tx: Tx,
  schedule: Pick<Schedule, 'id' | 'projectId' | 'ownerId'>,
): Promise<void> {
  await saveSchedule(tx, schedule.id, { active: 0 })
  const data = { schedule: schedule.id, user: schedule.ownerId }
  await record(core, tx, { kind: 'schedule.stopped', projectId: schedule.projectId, data })
}
