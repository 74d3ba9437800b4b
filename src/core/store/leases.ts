/** Rows of leases: the only truth about who owns a job. */
import { type RawBuilder, sql } from 'kysely'
import { SignalboxError } from '../errors.js'
import type { Lease } from '../lease.js'
import { type LeaseEvent, type LeaseStatus, nextLeaseStatus } from '../lifecycle/lease-machine.js'
import { leaseColumns } from './columns.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

// Statuses are written as literals wherever a partial index is to serve the query: SQLite does not match it otherwise.
const isOpen = sql<boolean>`status in ('offered', 'held')`

export type NewLease = Omit<
  Lease,
  | 'id'
  | 'acceptedAt'
  | 'endedAt'
  | 'endReason'
  | 'cancelRevision'
  | 'cancelMode'
  | 'cancelAcked'
  | 'report'
  | 'reportAt'
  | 'written'
>

/** Inserts a lease as it begins. The unique index on open leases refuses a second one for the job. */
export async function insertLease(tx: Tx, lease: Omit<Lease, 'id'>): Promise<number> {
  const row = await tx.first(newLease, lease as NewLease)
  tx.known?.leases.set(lease.jobId, { ...lease, id: row!.id })
  return row!.id
}

export async function findLease(from: Reader | Tx, jobId: number, fence: number): Promise<Lease | undefined> {
  const known = from.known?.leases.get(jobId)
  if (known?.fence === fence) return { ...known }
  return from.first(leaseByFence, { jobId, fence })
}

/** The lease of the job that is offered or held, if one is. */
export function findOpenLease(from: Reader | Tx, jobId: number): Promise<Lease | undefined> {
  return from.first(openLeaseOfJob, { jobId })
}

type LeaseKey = Pick<Lease, 'id' | 'jobId'>
type LeaseState = Pick<Lease, 'id' | 'jobId' | 'status'>

/**
 * The lease is accepted, and held for its whole term from now on. Returns it as it is now. Throws `conflict`, and writes
 * nothing, when its status does not allow that, or its row has another one.
 */
export async function holdLease(tx: Tx, lease: Lease): Promise<Lease> {
  const status = statusAfter(lease, 'accept')
  const expiresAt = tx.now + lease.termMs
  const { id, status: from } = lease
  if (!(await tx.first(acceptedLease, { id, from, status, now: tx.now, expiresAt }))) throw moved(lease)
  const written = { status, acceptedAt: tx.now, expiresAt, acceptBy: null }
  noteChanged(tx, lease, written)
  return { ...lease, ...written }
}

/** The status that the table gives. Throws `conflict` where it refuses the event. */
function statusAfter(lease: LeaseState, event: LeaseEvent): LeaseStatus {
  const to = nextLeaseStatus(event, lease.status)
  if (to === undefined)
    throw new SignalboxError('conflict', `a lease of job ${lease.jobId} is ${lease.status}: ${event} is not possible`)
  return to
}

/** The row has another status than was read. */
function moved({ jobId, status }: LeaseState): SignalboxError {
  return new SignalboxError('conflict', `a lease of job ${jobId} is not ${status} any more`)
}

function noteChanged(tx: Tx, { id, jobId }: LeaseKey, written: Partial<Lease>): void {
  tx.known?.leases.change(jobId, (lease) => lease.id === id, written)
}

export interface LeaseEnd {
  event: Exclude<LeaseEvent, 'accept'>
  reason: string
  /** The final report that ends it. */
  report?: string
  /** Until then its manager is passed over for the job. */
  excludedUntil?: number
}

/** Ends an open lease. Returns the status that it ends with. Throws `conflict` as `holdLease` does. */
export async function endLease(tx: Tx, lease: LeaseState, end: LeaseEnd): Promise<LeaseStatus> {
  const { reason, report, excludedUntil = null } = end
  const status = statusAfter(lease, end.event)
  const row = { id: lease.id, from: lease.status, status, reason, now: tx.now }
  tx.known?.leases.forget(lease.jobId)
  const ended =
    report === undefined
      ? await tx.first(endedLease, { ...row, excludedUntil })
      : await tx.first(finishedLease, { ...row, report })
  if (!ended) throw moved(lease)
  return status
}

/** Notes that the runner has written under the lease, and moves its end: every write is a contact. */
export async function touchLeaseOf(tx: Tx, lease: LeaseKey, expiresAt: number | null): Promise<void> {
  await tx.all(touchedLease, { id: lease.id, expiresAt })
  noteChanged(tx, lease, { written: 1, ...(expiresAt === null ? {} : { expiresAt }) })
}

export async function moveAcceptBy(tx: Tx, id: number, acceptBy: number): Promise<void> {
  await tx.all(movedLease, { id, acceptBy })
}

/** Keeps a final report: applied with the lease's end, or waiting for the log bytes that it counts. */
export async function saveReport(tx: Tx, id: number, report: string, reportAt: number): Promise<void> {
  await tx.all(reportedLease, { id, report, reportAt })
}

/** Sets a lease's desired state: canceled, gently or by force. */
export async function saveCancel(tx: Tx, id: number, revision: number, mode: 'graceful' | 'force'): Promise<void> {
  await tx.all(canceledLease, { id, revision, mode, now: tx.now })
}

/** Notes that the runner has received the cancel of this revision. */
export async function saveCancelAck(
  tx: Tx,
  lease: { jobId: number; fence: number; managerId: number },
  revision: number,
): Promise<void> {
  await tx.db
    .updateTable('leases')
    .set({ cancel_acked: revision })
    .where('job_id', '=', lease.jobId)
    .where('fence', '=', lease.fence)
    .where('manager_id', '=', lease.managerId)
    .where('cancel_acked', '<', revision)
    .where('cancel_revision', '>=', revision)
    .execute()
}

/** Leases of streams whose cancel has not been acknowledged since before `canceledBefore`. */
export function listUnackedCancels(from: Reader | Tx, canceledBefore: number): Promise<Lease[]> {
  return from.db
    .selectFrom('leases')
    .select(leaseColumns)
    .where(sql<boolean>`status = 'held' and cancel_mode is not null and door in ('grpc', 'websocket')`)
    .where('cancel_at', '<=', canceledBefore)
    .whereRef('cancel_acked', '<', 'cancel_revision')
    .execute() as Promise<Lease[]>
}

/**
 * Gives held leases of a manager a full term from now: one statement for all of them. Gives those that were renewed; the
 * others are not open, or not this manager's.
 */
export function renewLeases(
  tx: Tx,
  managerId: number,
  leases: readonly { jobId: number; fence: number }[],
): Promise<{ jobId: number; fence: number; expiresAt: number }[]> {
  const jobs = JSON.stringify(leases.map((lease) => lease.jobId))
  for (const { jobId } of leases) tx.known?.leases.forget(jobId)
  return tx.all(renewedLeases, { managerId, jobs, now: tx.now })
}

/** Starts since the last contact after which a lease still gets its full term. */
const fullTerms = 3

/** A term after so many starts without a contact: full at first, then half as long with each. */
const grace = (term: RawBuilder<unknown>) =>
  sql`(${term} / case when starts < ${sql.lit(fullTerms)} then 1
    else cast(1 as bigint) << case when starts > 30 then 30 else starts - ${sql.lit(fullTerms - 1)} end end)`

/**
 * Gives every open lease a fresh term: after a start, since nobody could renew while we were away. It is a full one, but
 * not for ever: starts that follow each other without a word of the runner would keep a lost job running.
 */
export async function refreshOpenLeases(tx: Tx, acceptWithin: { stream: number; other: number }): Promise<void> {
  await sql`
    update leases set expires_at = cast(${tx.now} as bigint) + ${grace(sql`term_ms`)}
    where status = 'held'`.execute(tx.db)
  await sql`
    update leases set accept_by = cast(${tx.now} as bigint) + ${grace(sql`
      case when door in ('grpc', 'websocket') then cast(${acceptWithin.stream} as integer)
      else cast(${acceptWithin.other} as integer) end`)}
    where status = 'offered'`.execute(tx.db)
  await sql`update leases set report_at = ${tx.now} where status = 'held' and report is not null`.execute(tx.db)
  await sql`update leases set starts = starts + 1 where status in ('offered', 'held')`.execute(tx.db)
}

/**
 * Gives every open lease the time back in which the node was away. A held one has a term from now at the least, as after a
 * start and counted as one, and at the most: what was renewed since needs no more. An offer is open for `offerAtMostMs` at
 * the most. All in milliseconds.
 */
export async function extendOpenLeases(tx: Tx, awayMs: number, offerAtMostMs: number): Promise<void> {
  const away = Math.ceil(awayMs)
  const now = sql`cast(${tx.now} as bigint)`
  await sql`
    update leases set starts = starts + 1, expires_at = case
      when expires_at + ${away} >= ${now} + term_ms then ${now} + term_ms
      when expires_at + ${away} < ${now} + ${grace(sql`term_ms`)} then ${now} + ${grace(sql`term_ms`)}
      else expires_at + ${away} end
    where status = 'held'`.execute(tx.db)
  await sql`
    update leases set accept_by = case
      when accept_by + ${away} < ${now} + ${offerAtMostMs} then accept_by + ${away}
      when accept_by < ${now} + ${offerAtMostMs} then ${now} + ${offerAtMostMs}
      else accept_by end
    where status = 'offered'`.execute(tx.db)
  await sql`update leases set report_at = ${tx.now} where status = 'held' and report is not null`.execute(tx.db)
  await sql`update leases set cancel_at = cancel_at + ${away} where status = 'held' and cancel_at is not null`.execute(
    tx.db,
  )
}

/** Leases of another node are left to it for so much longer: it may be coming back. */
const othersLaterMs = 60_000

/**
 * Open leases whose term is over; held ones of requests made by hand are left to the sweeps over stuck jobs. `node` is who
 * asks: those that other nodes hold count as overdue a minute later.
 */
export function listOverdueLeases(from: Reader | Tx, node: string, now: number, limit: number): Promise<Lease[]> {
  return from.db
    .selectFrom('leases')
    .select(leaseColumns)
    .where(
      sql<boolean>`((status = 'offered' and accept_by <= ${now}) or (status = 'held' and expires_at <= ${now} and door <> 'rest_by_hand'
        and (node = ${node} or expires_at <= ${now - othersLaterMs})))`,
    )
    .orderBy('id')
    .limit(limit)
    .execute() as Promise<Lease[]>
}

/** Held leases whose final report has waited for log bytes since before `reportedBefore`. */
export function listWaitingReports(from: Reader | Tx, reportedBefore: number): Promise<Lease[]> {
  return from.db
    .selectFrom('leases')
    .select(leaseColumns)
    .where(sql<boolean>`status = 'held' and report is not null`)
    .where('report_at', '<=', reportedBefore)
    .execute() as Promise<Lease[]>
}

/** Why the job's last offer that came to nothing did so. */
export async function findLastRefusal(
  from: Reader,
  jobId: number,
): Promise<{ at: number; reason: string; runnerId: number } | undefined> {
  const row = await from.db
    .selectFrom('leases')
    .select(['ended_at as at', 'end_reason as reason', 'runner_id as runnerId'])
    .where('job_id', '=', jobId)
    .where('status', 'in', ['refused', 'expired'])
    .where('accepted_at', 'is', null)
    .orderBy('fence', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && { at: row.at ?? 0, reason: row.reason ?? '', runnerId: row.runnerId }
}

/** Managers that are passed over for the job, since an offer of it to them came to nothing lately. */
export async function excludedManagers(from: Reader | Tx, jobId: number, now: number): Promise<Set<number>> {
  const rows = await from.db
    .selectFrom('leases')
    .select('manager_id')
    .where('job_id', '=', jobId)
    .where('excluded_until', '>', now)
    .execute()
  return new Set(rows.map((row) => row.manager_id))
}

/** Open leases of a manager: what it should be running. */
export function listOpenLeases(from: Reader | Tx, managerId: number): Promise<Lease[]> {
  return from.all(openLeasesOfManager, { managerId })
}

/** The lease that the same logical request of the manager was given before, while nothing has been written under it. */
export function findRepeatedRequest(
  from: Reader | Tx,
  managerId: number,
  requestId: string,
): Promise<Lease | undefined> {
  return from.first(leaseByRequest, { managerId, requestId })
}

const newLease = hotQuery<{ id: number }, keyof NewLease>(
  (db, p) =>
    db
      .insertInto('leases')
      .values({
        job_id: p('jobId'),
        fence: p('fence'),
        project_id: p('projectId'),
        runner_id: p('runnerId'),
        manager_id: p('managerId'),
        instance_runner: p('instanceRunner'),
        node: p('node'),
        door: p('door'),
        request_id: p('requestId'),
        status: p('status'),
        term_ms: p('termMs'),
        written: 0,
        offered_at: p('offeredAt'),
        accept_by: p('acceptBy'),
        expires_at: p('expiresAt'),
        cancel_revision: 0,
        cancel_acked: 0,
      })
      .returning('id'),
  { keepsKnown: true },
)

const leaseByFence = hotQuery<Lease, 'jobId' | 'fence'>((db, p) =>
  db.selectFrom('leases').select(leaseColumns).where('job_id', '=', p('jobId')).where('fence', '=', p('fence')),
)

const openLeaseOfJob = hotQuery<Lease, 'jobId'>((db, p) =>
  db.selectFrom('leases').select(leaseColumns).where('job_id', '=', p('jobId')).where(isOpen),
)

const acceptedLease = hotQuery<{ id: number }, 'id' | 'from' | 'status' | 'now' | 'expiresAt'>(
  (db, p) =>
    db
      .updateTable('leases')
      .set({ status: p('status'), accepted_at: p('now'), expires_at: p('expiresAt'), accept_by: null, starts: 0 })
      .where('id', '=', p('id'))
      .where('status', '=', p('from'))
      .returning('id'),
  { keepsKnown: true },
)

const endedLease = hotQuery<{ id: number }, 'id' | 'from' | 'status' | 'reason' | 'excludedUntil' | 'now'>(
  (db, p) =>
    db
      .updateTable('leases')
      .set({
        status: p('status'),
        end_reason: p('reason'),
        ended_at: p('now'),
        excluded_until: p('excludedUntil'),
      })
      .where('id', '=', p('id'))
      .where('status', '=', p('from'))
      .returning('id'),
  { keepsKnown: true },
)

const finishedLease = hotQuery<{ id: number }, 'id' | 'from' | 'status' | 'reason' | 'report' | 'now'>(
  (db, p) =>
    db
      .updateTable('leases')
      .set({
        status: p('status'),
        end_reason: p('reason'),
        ended_at: p('now'),
        report: p('report'),
        report_at: p('now'),
      })
      .where('id', '=', p('id'))
      .where('status', '=', p('from'))
      .returning('id'),
  { keepsKnown: true },
)

const touchedLease = hotQuery<never, 'id' | 'expiresAt'>(
  (db, p) =>
    db
      .updateTable('leases')
      .set({
        written: 1,
        starts: 0,
        expires_at: sql<number | null>`coalesce(cast(${p('expiresAt')} as bigint), expires_at)`,
      })
      .where('id', '=', p('id')),
  { keepsKnown: true },
)

const movedLease = hotQuery<never, 'id' | 'acceptBy'>((db, p) =>
  db
    .updateTable('leases')
    .set({ accept_by: p('acceptBy') })
    .where('id', '=', p('id')),
)

const reportedLease = hotQuery<never, 'id' | 'report' | 'reportAt'>((db, p) =>
  db
    .updateTable('leases')
    .set({ report: p('report'), report_at: p('reportAt') })
    .where('id', '=', p('id')),
)

const canceledLease = hotQuery<never, 'id' | 'revision' | 'mode' | 'now'>((db, p) =>
  db
    .updateTable('leases')
    .set({ cancel_revision: p('revision'), cancel_mode: p('mode'), cancel_at: p('now') })
    .where('id', '=', p('id')),
)

const renewedLeases = hotQuery<{ jobId: number; fence: number; expiresAt: number }, 'managerId' | 'jobs' | 'now'>(
  (db, p, engine) => ({
    compile: () =>
      sql`
        update leases set expires_at = cast(${p('now')} as bigint) + term_ms, starts = 0
        where manager_id = ${p('managerId')} and status = 'held' and job_id in ${
          engine === 'postgres'
            ? sql`(select value::bigint from json_array_elements_text(${p('jobs')}::json) as value)`
            : sql`(select value from json_each(${p('jobs')}))`
        }
        returning job_id as "jobId", fence, expires_at as "expiresAt"`.compile(db),
  }),
  { keepsKnown: true },
)

const openLeasesOfManager = hotQuery<Lease, 'managerId'>((db, p) =>
  db.selectFrom('leases').select(leaseColumns).where('manager_id', '=', p('managerId')).where(isOpen).orderBy('id'),
)

// By manager, not by runner: each poll asks this, and the index holds few open leases of one manager.
const leaseByRequest = hotQuery<Lease, 'managerId' | 'requestId'>((db, p) =>
  db
    .selectFrom('leases')
    .select(leaseColumns)
    .where('manager_id', '=', p('managerId'))
    .where('request_id', '=', p('requestId'))
    .where(isOpen)
    .where('written', '=', 0)
    .orderBy('id', 'desc')
    .limit(1),
)
