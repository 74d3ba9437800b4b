/** Rows of variables that jobs give to those after them: one row a job, sealed by the caller. */
import type { Tx } from './write.js'

export async function saveDotenvVariables(tx: Tx, jobId: number, sealed: Uint8Array): Promise<void> {
  await tx.db.insertInto('dotenv_variables').values({ job_id: jobId, body: sealed }).execute()
}
