/** Rows of variables that jobs give to those after them: one row a job, sealed by the caller. */
import type { Reader, Tx } from './write.js'

/** Keeps what a job gives to those after it. A job has one such row at the most. */
export async function saveDotenvVariables(tx: Tx, jobId: number, sealed: Uint8Array): Promise<void> {
  await tx.db.insertInto('dotenv_variables').values({ job_id: jobId, body: sealed }).execute()
}

/** What the job has reported itself; undefined: nothing. */
export async function findDotenvVariables(from: Reader | Tx, jobId: number): Promise<Uint8Array | undefined> {
  const row = await from.db.selectFrom('dotenv_variables').select('body').where('job_id', '=', jobId).executeTakeFirst()
  return row?.body
}
