/** Rows of payloads: what the runner of a pending or running job gets, sealed. */
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

export async function savePayload(tx: Tx, jobId: number, sealed: Uint8Array): Promise<void> {
  await tx.all(newPayload, { jobId, body: sealed })
}

export async function findPayload(from: Reader | Tx, jobId: number): Promise<Uint8Array | undefined> {
  return (await from.first(payloadOfJob, { jobId }))?.body
}

export async function deletePayload(tx: Tx, jobId: number): Promise<void> {
  await tx.all(endedPayload, { jobId })
}

const newPayload = hotQuery<never, 'jobId' | 'body'>((db, p) =>
  db
    .insertInto('payloads')
    .values({ job_id: p('jobId'), body: p('body') })
    .onConflict((c) => c.column('job_id').doUpdateSet((e) => ({ body: e.ref('excluded.body') }))),
)

const payloadOfJob = hotQuery<{ body: Uint8Array }, 'jobId'>((db, p) =>
  db.selectFrom('payloads').select('body').where('job_id', '=', p('jobId')),
)

const endedPayload = hotQuery<never, 'jobId'>((db, p) => db.deleteFrom('payloads').where('job_id', '=', p('jobId')), {
  keepsKnown: true,
})
