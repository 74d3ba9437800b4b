/** Rows of the audit log, and where its chain ends. */
import type { AuditEntry } from '../audit.js'
import { findMeta, putMeta, setMeta } from './meta.js'
import type { Reader, Tx } from './write.js'

const columns = [
  'id',
  'at',
  'kind',
  'actor_id as actorId',
  'actor_name as actorName',
  'project_id as projectId',
  'runner_id as runnerId',
  'data',
  'key_name as keyName',
  'digest',
] as const

/** The last entry by its id and digest. */
export interface AuditHead {
  id: number
  digest: string
}

const headKey = 'audit_head'
const boundaryKey = 'audit_boundary'

/** Returns where the chain ends, as it was noted apart from it: `0` and nothing before the first entry. */
export async function auditHead(from: Reader | Tx): Promise<AuditHead> {
  const row = await from.db.selectFrom('meta').select('value').where('key', '=', headKey).executeTakeFirst()
  return headOf(row?.value)
}

/** The same; whoever else appends waits until this transaction has ended. */
export async function lockAuditHead(tx: Tx): Promise<AuditHead> {
  await setMeta(tx, headKey, '0:', undefined)
  const row = await tx.db
    .selectFrom('meta')
    .select('value')
    .where('key', '=', headKey)
    .$if(tx.engine === 'postgres', (q) => q.forUpdate())
    .executeTakeFirstOrThrow()
  return headOf(row.value)
}

/** Where the chain ended when another key file was taken, with the proof of that: `operations/check-keys.ts`. */
export async function auditBoundary(from: Reader): Promise<AuditHead & { proof: string }> {
  const [id = '0', digest = '', proof = ''] = ((await findMeta(from, boundaryKey)) ?? '').split(':')
  return { id: Number(id), digest, proof }
}

/** Notes where the chain ends now. */
export async function saveAuditBoundary(tx: Tx, { id, digest }: AuditHead, proof: string): Promise<void> {
  await putMeta(tx, boundaryKey, `${id}:${digest}:${proof}`)
}

function headOf(value = '0:'): AuditHead {
  const at = value.indexOf(':')
  return { id: Number(value.slice(0, at)), digest: value.slice(at + 1) }
}

/** Writes entries that follow the locked head. */
export async function appendAuditEntries(tx: Tx, entries: readonly AuditEntry[]): Promise<void> {
  const rows = entries.map((one) => ({
    ...{ id: one.id, at: one.at, kind: one.kind, actor_id: one.actorId, actor_name: one.actorName },
    ...{ project_id: one.projectId, runner_id: one.runnerId, data: one.data },
    ...{ key_name: one.keyName, digest: one.digest },
  }))
  await tx.db.insertInto('audit_entries').values(rows).execute()
  const last = entries.at(-1)!
  await tx.db
    .updateTable('meta')
    .set({ value: `${last.id}:${last.digest}` })
    .where('key', '=', headKey)
    .execute()
}

/** Which entries are wanted. */
export interface AuditFilter {
  kind?: string
  actorId?: number
  projectId?: number
  /** Older than this entry. */
  before?: number
}

/** Returns entries, the newest first. */
export function listAuditEntries(from: Reader, filter: AuditFilter, limit: number): Promise<AuditEntry[]> {
  const { kind, actorId, projectId, before } = filter
  return from.db
    .selectFrom('audit_entries')
    .select(columns)
    .$if(kind !== undefined, (q) => q.where('kind', '=', kind!))
    .$if(actorId !== undefined, (q) => q.where('actor_id', '=', actorId!))
    .$if(projectId !== undefined, (q) => q.where('project_id', '=', projectId!))
    .$if(before !== undefined, (q) => q.where('id', '<', before!))
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
}

/** Returns the entries after this one, up to another, the oldest first. */
export function listAuditChain(
  from: Reader,
  { after, to }: { after: number; to: number },
  limit: number,
): Promise<AuditEntry[]> {
  return from.db
    .selectFrom('audit_entries')
    .select(columns)
    .where('id', '>', after)
    .where('id', '<=', to)
    .orderBy('id')
    .limit(limit)
    .execute()
}
