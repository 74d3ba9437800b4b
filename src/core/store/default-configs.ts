/** Configurations for the commits of projects that have none of their own. */
import type { Reader, Tx } from './write.js'

/**
 * Returns the text of the configuration that commits of the project without one of their own get; undefined: none is
 * set.
 */
export async function findDefaultConfig(from: Reader | Tx, projectId: number): Promise<string | undefined> {
  const row = await from.db
    .selectFrom('default_configs')
    .select('config')
    .where('project_id', '=', projectId)
    .executeTakeFirst()
  return row?.config
}

/** Null: there is none any more. */
export async function saveDefaultConfig(tx: Tx, projectId: number, config: string | null): Promise<void> {
  await tx.db.deleteFrom('default_configs').where('project_id', '=', projectId).execute()
  if (config !== null) await tx.db.insertInto('default_configs').values({ project_id: projectId, config }).execute()
}
