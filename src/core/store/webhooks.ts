/** Rows of webhooks and of what is to be delivered to them. */
import type { Webhook, WebhookEvent, WebhookMessage } from '../webhook.js'
import type { Page } from './page.js'
import type { Reader, Tx } from './write.js'

type Row = Omit<Webhook, 'jobEvents' | 'pipelineEvents' | 'verifiesTls'> & Record<Flag, number>
type Flag = 'jobEvents' | 'pipelineEvents' | 'verifiesTls'

/** Returns the webhook, disabled ones too; undefined: there is none of this id. */
export async function findWebhook(from: Reader | Tx, id: number): Promise<Webhook | undefined> {
  const row = await from.db.selectFrom('webhooks').select(columns).where('id', '=', id).executeTakeFirst()
  return row && fromRow(row)
}

/** Of one project, oldest first. */
export async function listWebhooks(from: Reader | Tx, projectId: number, page?: Page): Promise<Webhook[]> {
  const rows = await from.db
    .selectFrom('webhooks')
    .select(columns)
    .where('project_id', '=', projectId)
    .orderBy('id')
    .$if(page !== undefined, (q) => q.limit(page!.limit).offset(page!.offset))
    .execute()
  return rows.map(fromRow)
}

/** Projects that have webhooks. */
export async function listHookedProjects(from: Reader | Tx): Promise<number[]> {
  const rows = await from.db.selectFrom('webhooks').select('project_id').distinct().execute()
  return rows.map((row) => row.project_id)
}

/** What people set of a webhook; `sealed` holds its address and secrets. */
export type WebhookFields = Pick<
  Webhook,
  'name' | 'description' | 'jobEvents' | 'pipelineEvents' | 'verifiesTls' | 'sealed'
>

/** Inserts a webhook that has never failed. Returns it with its id. */
export async function insertWebhook(tx: Tx, projectId: number, fields: WebhookFields): Promise<Webhook> {
  const row = await tx.db
    .insertInto('webhooks')
    .values({ project_id: projectId, ...toRow(fields), failures: 0, disabled_until: null, created_at: tx.now })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...fields, id: row.id, projectId, failures: 0, disabledUntil: null, createdAt: tx.now }
}

/** A webhook that is changed starts anew: whatever it was switched off for may be mended. */
export async function saveWebhook(tx: Tx, id: number, fields: WebhookFields): Promise<void> {
  await tx.db
    .updateTable('webhooks')
    .set({ ...toRow(fields), failures: 0, disabled_until: null })
    .where('id', '=', id)
    .execute()
}

/** Keeps how many messages in a row have failed, and until when none is tried. */
export async function saveWebhookState(
  tx: Tx,
  id: number,
  state: { failures: number; disabledUntil: number | null },
): Promise<void> {
  await tx.db
    .updateTable('webhooks')
    .set({ failures: state.failures, disabled_until: state.disabledUntil })
    .where('id', '=', id)
    .execute()
}

/** Deletes the webhook with what was still to be delivered. */
export async function deleteWebhook(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('webhook_deliveries').where('webhook_id', '=', id).execute()
  await tx.db.deleteFrom('webhooks').where('id', '=', id).execute()
}

/** Keeps a message until the other server has taken it; its bytes are sent as they are. */
export async function insertMessage(
  tx: Tx,
  message: { webhookId: number; event: WebhookEvent; uuid: string; body: Uint8Array },
): Promise<void> {
  await tx.db
    .insertInto('webhook_deliveries')
    .values({
      webhook_id: message.webhookId,
      event: message.event,
      uuid: message.uuid,
      body: message.body,
      attempts: 0,
      due_at: tx.now,
    })
    .execute()
}

/** Messages whose time has come, oldest first; their bodies are sealed. */
export function listDueMessages(
  from: Reader,
  now: number,
  { limit, except }: { limit: number; except: readonly number[] },
): Promise<(Omit<WebhookMessage, 'body'> & { body: Uint8Array })[]> {
  return from.db
    .selectFrom('webhook_deliveries')
    .select(['id', 'webhook_id as webhookId', 'event', 'uuid', 'body', 'attempts', 'due_at as dueAt'])
    .where('due_at', '<=', now)
    .$if(except.length > 0, (query) => query.where('webhook_id', 'not in', except))
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** Takes a message for one try, until `dueAt` at most. False: another node has it, or it is gone. */
export async function takeMessage(tx: Tx, message: Pick<WebhookMessage, 'id' | 'attempts'>, dueAt: number) {
  const row = await tx.db
    .updateTable('webhook_deliveries')
    .set({ attempts: message.attempts + 1, due_at: dueAt })
    .where('id', '=', message.id)
    .where('attempts', '=', message.attempts)
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}

/** Puts the next try off, to a time in milliseconds since 1970. */
export async function delayMessage(tx: Tx, id: number, dueAt: number): Promise<void> {
  await tx.db.updateTable('webhook_deliveries').set({ due_at: dueAt }).where('id', '=', id).execute()
}

/** Forgets a message: it was taken, or has been tried often enough. */
export async function deleteMessage(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('webhook_deliveries').where('id', '=', id).execute()
}

const columns = [
  'id',
  'project_id as projectId',
  'name',
  'description',
  'job_events as jobEvents',
  'pipeline_events as pipelineEvents',
  'verifies_tls as verifiesTls',
  'failures',
  'disabled_until as disabledUntil',
  'created_at as createdAt',
  'sealed',
] as const

function fromRow(row: Row): Webhook {
  return {
    ...row,
    jobEvents: row.jobEvents === 1,
    pipelineEvents: row.pipelineEvents === 1,
    verifiesTls: row.verifiesTls === 1,
  }
}

function toRow(fields: WebhookFields) {
  return {
    name: fields.name,
    description: fields.description,
    job_events: fields.jobEvents ? 1 : 0,
    pipeline_events: fields.pipelineEvents ? 1 : 0,
    verifies_tls: fields.verifiesTls ? 1 : 0,
    sealed: fields.sealed,
  }
}
