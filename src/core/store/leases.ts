/** Rows of leases: the only truth about who owns a job. */
import { sql } from 'kysely'
import { SignalboxError } from '../errors.js'
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'
import { type LeaseEvent, type LeaseStatus, nextLeaseStatus } from '../lifecycle/lease-machine.js'
import { leaseColumns } from './columns.js'
import { hotQuery } from './hot-query.js'
import { manyRows, type Row } from './insert-many.js'
import { lockJob } from './jobs.js'
import type { Reader, Tx } from './write.js'

// Statuses are written as literals wherever a partial index is to serve the query: SQLite does not match it otherwise.
const isOpen = sql<boolean>`status in ('offered', 'held')`

/** Inserts a lease as it begins. The unique index on open leases refuses a second one for the job. */
export async function insertLease(tx: Tx, lease: Omit<Lease, 'id'>): Promise<number> {
  const [id] = await tx.newIds('leases', 1)
  const made: Lease = { ...lease, id: id! }
  tx.unwritten.put('leases', newLeases, made.id, { ...made } as object as Row)
  tx.known.leases.set(made.jobId, made)
  return made.id
}

/** Returns the lease by the pair that names it everywhere, open or ended. */
export async function findLease(from: Reader | Tx, jobId: number, fence: number): Promise<Lease | undefined> {
  const known = from.known?.leases.get(jobId)
  if (known?.fence === fence) return { ...known }
  return from.first(leaseByFence, { jobId, fence })
}

/**
 * The job, locked, and the lease of this fence: the pair that a runner writes under. `also`: as for `lockJob`, what of them
 * is looked at next.
 */
export async function lockLease(
  tx: Tx,
  jobId: number,
  fence: number,
  also: readonly (() => Promise<unknown>)[],
): Promise<{ job?: Job | undefined; lease?: Lease | undefined }> {
  let read: Lease | undefined
  const readLease = async () => {
    read = await findLease(tx, jobId, fence)
  }
  const job = await lockJob(tx, jobId, [readLease, ...also])
  return { job, lease: job && (read ?? (await findLease(tx, jobId, fence))) }
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
  // One that waits to be inserted is inserted first: on a polling door it is offered and accepted in one body.
  await tx.later(acceptedLease, { id, from, status, now: tx.now, expiresAt }, () => moved(lease))
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
  tx.known.leases.change(jobId, (lease) => (lease.id === id ? { ...lease, ...written } : lease))
}

/** How and why a lease ends. */
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
  tx.known.leases.forget(lease.jobId)
  const unless = () => moved(lease)
  if (report === undefined) await tx.later(endedLease, { ...row, excludedUntil }, unless)
  else await tx.later(finishedLease, { ...row, report }, unless)
  return status
}

/** Notes that the runner has written under the lease, and moves its end: every write is a contact. */
export async function touchLeaseOf(tx: Tx, lease: LeaseKey, expiresAt: number | null): Promise<void> {
  await tx.later(touchedLease, { id: lease.id, expiresAt })
  noteChanged(tx, lease, { written: 1, ...(expiresAt === null ? {} : { expiresAt }) })
}

/** Open leases of the manager are served by this node from now on: it has come here. */
export async function moveLeases(tx: Tx, managerId: number, node: string): Promise<void> {
  await tx.db
    .updateTable('leases')
    .set({ node })
    .where('manager_id', '=', managerId)
    .where(isOpen)
    .where('node', '<>', node)
    .execute()
}

/** Keeps a final report: applied with the lease's end, or waiting for the log bytes that it counts. */
export async function saveReport(tx: Tx, id: number, report: string, reportAt: number): Promise<void> {
  await tx.all(reportedLease, { id, report, reportAt })
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

/** Open leases of a manager: what it should be running. */
export function listOpenLeases(from: Reader | Tx, managerId: number): Promise<Lease[]> {
  return from.all(openLeasesOfManager, { managerId })
}

/** Counts open leases: all of them, and those of a project. */
export async function countOpenLeasesOf(from: Reader, projectId: number): Promise<{ all: number; project: number }> {
  const row = await from.first(openLeaseCounts, { projectId })
  return { all: Number(row?.all ?? 0), project: Number(row?.project ?? 0) }
}

/** The lease that the same logical request of the manager was given before, while nothing has been written under it. */
export function findRepeatedRequest(
  from: Reader | Tx,
  managerId: number,
  requestId: string,
): Promise<Lease | undefined> {
  return from.first(leaseByRequest, { managerId, requestId })
}

const newLeases = manyRows((db, p, rows) =>
  db.insertInto('leases').values(
    rows.map((row) => ({
      id: p('id', row),
      job_id: p('jobId', row),
      fence: p('fence', row),
      project_id: p('projectId', row),
      runner_id: p('runnerId', row),
      manager_id: p('managerId', row),
      instance_runner: p('instanceRunner', row),
      node: p('node', row),
      door: p('door', row),
      request_id: p('requestId', row),
      status: p('status', row),
      term_ms: p('termMs', row),
      written: 0,
      offered_at: p('offeredAt', row),
      accept_by: p('acceptBy', row),
      expires_at: p('expiresAt', row),
      cancel_revision: 0,
      cancel_acked: 0,
    })),
  ),
)

const leaseByFence = hotQuery<Lease, 'jobId' | 'fence'>((db, p) =>
  db.selectFrom('leases').select(leaseColumns).where('job_id', '=', p('jobId')).where('fence', '=', p('fence')),
)

const openLeaseOfJob = hotQuery<Lease, 'jobId'>((db, p) =>
  db.selectFrom('leases').select(leaseColumns).where('job_id', '=', p('jobId')).where(isOpen),
)

const acceptedLease = hotQuery<never, 'id' | 'from' | 'status' | 'now' | 'expiresAt'>(
  (db, p) =>
    db
      .updateTable('leases')
      .set({ status: p('status'), accepted_at: p('now'), expires_at: p('expiresAt'), accept_by: null, starts: 0 })
      .where('id', '=', p('id'))
      .where('status', '=', p('from')),
  { keepsKnown: true },
)

const endedLease = hotQuery<never, 'id' | 'from' | 'status' | 'reason' | 'excludedUntil' | 'now'>(
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
      .where('status', '=', p('from')),
  { keepsKnown: true },
)

const finishedLease = hotQuery<never, 'id' | 'from' | 'status' | 'reason' | 'report' | 'now'>(
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
      .where('status', '=', p('from')),
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

const reportedLease = hotQuery<never, 'id' | 'report' | 'reportAt'>((db, p) =>
  db
    .updateTable('leases')
    .set({ report: p('report'), report_at: p('reportAt') })
    .where('id', '=', p('id')),
)

const openLeasesOfManager = hotQuery<Lease, 'managerId'>((db, p) =>
  db.selectFrom('leases').select(leaseColumns).where('manager_id', '=', p('managerId')).where(isOpen).orderBy('id'),
)

const openLeaseCounts = hotQuery<{ all: number; project: number }, 'projectId'>((db, p) => ({
  compile: () =>
    sql`
      select count(*) as "all", count(case when project_id = ${p('projectId')} then 1 end) as "project" from leases
      where status in ('offered', 'held')`.compile(db),
}))

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
