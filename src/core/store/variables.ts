/** Rows of variables that people set. */
import { sql } from 'kysely'
import type { CiVariable, VariableOwner } from '../ci-variable.js'
import { hotQuery } from './hot-query.js'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

/** Variables of one owner, by key. */
export function listVariables(from: Reader | Tx, owner: VariableOwner, page?: Page): Promise<CiVariable[]> {
  return from.db
    .selectFrom('variables')
    .select(columns)
    .where('owner_type', '=', owner.type)
    .where('owner_id', '=', owner.id)
    .orderBy('key')
    .orderBy('environment_scope')
    .$if(page !== undefined, (q) => q.limit(page!.limit).offset(page!.offset))
    .execute()
}

/** Returns how many variables the owner has. */
export async function countVariables(from: Reader | Tx, owner: VariableOwner): Promise<number> {
  const row = await from.db
    .selectFrom('variables')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('owner_type', '=', owner.type)
    .where('owner_id', '=', owner.id)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Those of a key: one for each scope. */
export function findVariables(from: Reader | Tx, owner: VariableOwner, key: string): Promise<CiVariable[]> {
  return from.db
    .selectFrom('variables')
    .select(columns)
    .where('owner_type', '=', owner.type)
    .where('owner_id', '=', owner.id)
    .where('key', '=', key)
    .orderBy('environment_scope')
    .execute()
}

/** Variables of the project, of the groups around it and of the instance. */
export function listVariablesAround(from: Reader | Tx, projectId: number): Promise<CiVariable[]> {
  return from.all(variablesAround, { projectId })
}

/** Writes a variable: a new one, or the one of its id. */
export async function saveVariable(tx: Tx, variable: Omit<CiVariable, 'id'> & { id?: number }): Promise<void> {
  const { id, ...fields } = variable
  const row = {
    owner_type: fields.ownerType,
    owner_id: fields.ownerId,
    key: fields.key,
    environment_scope: fields.environmentScope,
    value: fields.value,
    file: fields.file,
    protected: fields.protected,
    masked: fields.masked,
    hidden: fields.hidden,
    raw: fields.raw,
    description: fields.description,
  }
  if (id === undefined) await tx.db.insertInto('variables').values(row).execute()
  else await tx.db.updateTable('variables').set(row).where('id', '=', id).execute()
}

/** Deletes the variable; jobs that are queued already keep it in their payload. */
export async function deleteVariable(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('variables').where('id', '=', id).execute()
}

const columns = [
  'variables.id',
  'variables.owner_type as ownerType',
  'variables.owner_id as ownerId',
  'variables.key',
  'variables.environment_scope as environmentScope',
  'variables.value',
  'variables.file',
  'variables.protected',
  'variables.masked',
  'variables.hidden',
  'variables.raw',
  'variables.description',
] as const

const variablesAround = hotQuery<CiVariable, 'projectId'>(
  (db, p) => ({
    compile: () =>
      sql`
      with recursive above (id, parent_id) as (
        select groups.id, groups.parent_id from groups join projects on projects.group_id = groups.id
        where projects.id = ${p('projectId')}
        union select groups.id, groups.parent_id from groups join above on groups.id = above.parent_id
      ), owners (type, id) as (
        select 'instance', 0 union all select 'project', projects.id from projects where projects.id = ${p('projectId')}
        union all select 'group', above.id from above
      )
      select variables.id, owner_type as "ownerType", owner_id as "ownerId", key,
        environment_scope as "environmentScope", value, file, protected, masked, hidden, raw, description
      from owners join variables on owner_type = owners.type and owner_id = owners.id`.compile(db),
  }),
  { remembered: ['variables', 'projects', 'groups'] },
)
