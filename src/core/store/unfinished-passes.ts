/** Pipelines whose last pass left jobs for the next one: rows of `meta`, so that a crash between the two loses nothing. */
import type { Reader, Tx } from './write.js'

const prefix = 'unfinished_pass:'

/** Notes that a pass over the pipeline has left jobs for the next one. */
export async function saveUnfinishedPass(tx: Tx, pipelineId: number): Promise<void> {
  await tx.db
    .insertInto('meta')
    .values({ key: `${prefix}${pipelineId}`, value: '' })
    .onConflict((c) => c.column('key').doNothing())
    .execute()
}

/** Notes that a pass has left nothing. */
export async function deleteUnfinishedPass(tx: Tx, pipelineId: number): Promise<void> {
  await tx.db.deleteFrom('meta').where('key', '=', `${prefix}${pipelineId}`).execute()
}

/** Ids of pipelines. */
export async function listUnfinishedPasses(from: Reader): Promise<number[]> {
  const rows = await from.db.selectFrom('meta').select('key').where('key', 'like', `${prefix}%`).execute()
  return rows.map(({ key }) => Number(key.slice(prefix.length)))
}
