/** Rows that say whose jobs may use their token in a project: those of other projects, and of all projects of groups. */
import { sql } from 'kysely'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

/** A project, or a group with all that is below it, whose jobs are let in. */
export type Allowed = { kind: 'project' | 'group'; id: number }

/** Whether the project of a job is let in, by itself or by a group around it. */
export async function isAllowed(from: Reader | Tx, projectId: number, jobProjectId: number): Promise<boolean> {
  const { rows } = await sql`
    with recursive above (id, parent_id) as (
      select groups.id, groups.parent_id from groups join projects on projects.group_id = groups.id
      where projects.id = ${jobProjectId}
      union select groups.id, groups.parent_id from groups join above on groups.id = above.parent_id
    )
    select 1 from job_token_allowances
    where project_id = ${projectId}
      and ((kind = 'project' and allowed_id = ${jobProjectId})
        or (kind = 'group' and allowed_id in (select above.id from above)))
    limit 1`.execute(from.db)
  return rows.length > 0
}

/** Ids that are let in, in order. */
export async function listAllowed(
  from: Reader | Tx,
  projectId: number,
  kind: Allowed['kind'],
  page?: Page,
): Promise<number[]> {
  const rows = await from.db
    .selectFrom('job_token_allowances')
    .select('allowed_id as id')
    .where('project_id', '=', projectId)
    .where('kind', '=', kind)
    .orderBy('allowed_id')
    .$if(page !== undefined, (q) => q.limit(page!.limit).offset(page!.offset))
    .execute()
  return rows.map(({ id }) => Number(id))
}

/** Returns false if it was there already. */
export async function insertAllowed(tx: Tx, projectId: number, allowed: Allowed): Promise<boolean> {
  const rows = await tx.db
    .insertInto('job_token_allowances')
    .values({ project_id: projectId, kind: allowed.kind, allowed_id: allowed.id })
    .onConflict((c) => c.doNothing())
    .returning('allowed_id')
    .execute()
  return rows.length > 0
}

/** Returns false if there was none. */
export async function deleteAllowed(tx: Tx, projectId: number, allowed: Allowed): Promise<boolean> {
  const rows = await tx.db
    .deleteFrom('job_token_allowances')
    .where('project_id', '=', projectId)
    .where('kind', '=', allowed.kind)
    .where('allowed_id', '=', allowed.id)
    .returning('allowed_id')
    .execute()
  return rows.length > 0
}
