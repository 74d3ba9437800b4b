/** How long leases are good for: their terms are renewed by the manager, and moved by a node that was away. */
import { type RawBuilder, sql } from 'kysely'
import type { Lease } from '../lease.js'
import { leaseColumns } from './columns.js'
import { hotQuery } from './hot-query.js'
import type { Reader, Tx } from './write.js'

/** An offer is open until `acceptBy`, in milliseconds since 1970. */
export async function moveAcceptBy(tx: Tx, id: number, acceptBy: number): Promise<void> {
  await tx.all(movedLease, { id, acceptBy })
}

/**
 * Gives held leases of a manager a full term from now: one statement for all of them. Returns those that were
 * renewed; the others are not open, or not this manager's.
 */
export function renewLeases(
  tx: Tx,
  managerId: number,
  leases: readonly { jobId: number; fence: number }[],
): Promise<{ jobId: number; fence: number; expiresAt: number }[]> {
  const jobs = JSON.stringify(leases.map((lease) => lease.jobId))
  for (const { jobId } of leases) tx.known.leases.forget(jobId)
  return tx.all(renewedLeases, { managerId, jobs, now: tx.now })
}

/** Starts since the last contact after which a lease still gets its full term. */
const fullTerms = 3

/** A term in milliseconds after the starts that the row counts: full for the first three, then half as long with each. */
const grace = (term: RawBuilder<unknown>) =>
  sql`(${term} / case when starts < ${sql.lit(fullTerms)} then 1
    else cast(1 as bigint) << case when starts > 30 then 30 else starts - ${sql.lit(fullTerms - 1)} end end)`

/**
 * Gives every open lease a fresh term, `acceptWithin` (in milliseconds) to an offer: after a start, since nobody could
 * renew while we were away. It is a full one, but not for ever: starts that follow each other without a word of the runner
 * would keep a lost job running. `except`: nodes that were there meanwhile, whose leases stay as they are.
 */
export async function refreshOpenLeases(
  tx: Tx,
  acceptWithin: { stream: number; other: number },
  except: readonly string[] = [],
): Promise<void> {
  const ours = except.length === 0 ? sql`` : sql`and node not in (${sql.join(except)})`
  await sql`
    update leases set expires_at = cast(${tx.now} as bigint) + ${grace(sql`term_ms`)}
    where status = 'held' ${ours}`.execute(tx.db)
  await sql`
    update leases set accept_by = cast(${tx.now} as bigint) + ${grace(sql`
      case when door in ('grpc', 'websocket') then cast(${acceptWithin.stream} as integer)
      else cast(${acceptWithin.other} as integer) end`)}
    where status = 'offered' ${ours}`.execute(tx.db)
  await sql`update leases set report_at = ${tx.now} where status = 'held' and report is not null ${ours}`.execute(tx.db)
  await sql`update leases set starts = starts + 1 where status in ('offered', 'held') ${ours}`.execute(tx.db)
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

/** Leases of another node are left to it for a minute longer: it may be coming back. */
const othersLaterMs = 60_000

/**
 * Open leases whose term is over; held ones of requests made by hand are left to the sweeps over stuck jobs. `node` is who
 * asks: those that other nodes hold count as overdue a minute later.
 */
export async function listOverdueLeases(from: Reader | Tx, node: string, now: number, limit: number): Promise<Lease[]> {
  // Each by its own index: for an OR of both SQLite reads all leases that ever were.
  const some = from.db.selectFrom('leases').select(leaseColumns).limit(limit)
  const offered = await some
    .where(sql<boolean>`status = 'offered'`)
    .where('accept_by', '<=', now)
    .orderBy('accept_by')
    .orderBy('id')
    .execute()
  const held = await some
    .where(sql<boolean>`status = 'held'`)
    .where('expires_at', '<=', now)
    .where('door', '<>', 'rest_by_hand')
    .where((e) => e.or([e('node', '=', node), e('expires_at', '<=', now - othersLaterMs)]))
    .orderBy('expires_at')
    .orderBy('id')
    .execute()
  return [...offered, ...held].sort((a, b) => a.id - b.id).slice(0, limit) as Lease[]
}

const movedLease = hotQuery<never, 'id' | 'acceptBy'>((db, p) =>
  db
    .updateTable('leases')
    .set({ accept_by: p('acceptBy') })
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
