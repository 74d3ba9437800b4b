/** The audit log, for administrators: who has done what, and whether the log is whole. */
import { type AuditEntry, auditKinds } from '../core/audit.js'
import { SignalboxError } from '../core/errors.js'
import { verifyAudit } from '../core/operations/verify-audit.js'
import { listAuditEntries } from '../core/store/audit.js'
import type { Reply, Route, UserCall } from '../http/call.js'
import { adminRoute } from './route.js'

export const auditRoutes: readonly Route[] = [
  adminRoute('get', '/audit', list),
  adminRoute('get', '/audit/verify', verify),
]

/** Entries, the newest first; `before` is the id that the last page has ended with. */
async function list({ core, params }: UserCall): Promise<Reply> {
  const kind = params.choice('kind', auditKinds)
  const actorId = params.integer('user_id', { min: 1 })
  const projectId = params.integer('project_id', { min: 1 })
  const before = params.integer('before', { min: 1 })
  const limit = params.integer('limit', { min: 1, max: 1000 }) ?? 100
  const filter = {
    ...(kind === undefined ? {} : { kind }),
    ...(actorId === undefined ? {} : { actorId }),
    ...(projectId === undefined ? {} : { projectId }),
    ...(before === undefined ? {} : { before }),
  }
  return { status: 200, body: (await listAuditEntries(core.store.read, filter, limit)).map(toEntry) }
}

/** Reads the whole log and tells whether anything was changed, taken out or put in. `head`: `ID:DIGEST` of an earlier answer. */
async function verify({ core, params }: UserCall): Promise<Reply> {
  const text = params.text('head', { max: 128 })
  const [, id, digest] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text ?? '') ?? []
  if (text !== undefined && digest === undefined) throw new SignalboxError('invalid', 'head must be ID:DIGEST')
  const verdict = await verifyAudit(core, digest === undefined ? undefined : { id: Number(id), digest })
  return { status: 200, body: { ...verdict, head: `${verdict.head.id}:${verdict.head.digest}` } }
}

function toEntry(entry: AuditEntry): object {
  return {
    id: entry.id,
    at: new Date(entry.at).toISOString(),
    kind: entry.kind,
    user: entry.actorId === null ? null : { id: entry.actorId, username: entry.actorName },
    project_id: entry.projectId,
    runner_id: entry.runnerId,
    data: JSON.parse(entry.data),
    digest: entry.digest,
  }
}
