/** Rows of payloads: what the runner of a pending or running job gets, sealed. */
import { hotQuery } from './hot-query.js'
import { manyRows } from './insert-many.js'
import type { Reader, Tx } from './write.js'

/** Keeps the sealed payload of a job that has become pending. */
export async function savePayload(tx: Tx, jobId: number, sealed: Uint8Array): Promise<void> {
  tx.unwritten.put('payloads', newPayloads, jobId, { jobId, body: sealed })
}

/** Returns the sealed payload; undefined: the job has ended, or was never queued. */
export async function findPayload(from: Reader | Tx, jobId: number): Promise<Uint8Array | undefined> {
  return (await from.first(payloadOfJob, { jobId }))?.body
}

/** Deletes the payload: variables and secrets of a job that is over are not kept. */
export async function deletePayload(tx: Tx, jobId: number): Promise<void> {
  await tx.later(endedPayload, { jobId })
}

const newPayloads = manyRows((db, p, rows) =>
  db
    .insertInto('payloads')
    .values(rows.map((row) => ({ job_id: p('jobId', row), body: p('body', row) })))
    .onConflict((c) => c.column('job_id').doUpdateSet((e) => ({ body: e.ref('excluded.body') }))),
)

const payloadOfJob = hotQuery<{ body: Uint8Array }, 'jobId'>((db, p) =>
  db.selectFrom('payloads').select('body').where('job_id', '=', p('jobId')),
)

const endedPayload = hotQuery<never, 'jobId'>((db, p) => db.deleteFrom('payloads').where('job_id', '=', p('jobId')), {
  keepsKnown: true,
})
