/**
 * What became of a transaction whose COMMIT was sent and not answered. PostgreSQL tells by the transaction's number
 * (https://www.postgresql.org/docs/current/functions-info.html, pg_xact_status), whoever asks and over whichever connection.
 *
 * One answer has two meanings: after a crash the server may give the number of a transaction that left no trace to another
 * one, so `committed` counts only from a server that has not crashed since. A crash resets the cumulative statistics, and
 * their time of reset tells (https://www.postgresql.org/docs/current/monitoring-stats.html).
 */
import pg from 'pg'

/** `unknown`: it will never be known. */
export type Fate = 'committed' | 'aborted' | 'unknown'

/** What tells a transaction whose fate is not known. */
export interface SentCommit {
  /** The transaction's number. */
  xid: string
  /** The process of the server that was to commit. */
  backend: number
  /** When the server's statistics began, seen by the connection that committed. */
  statisticsSince: string
}

type Ask = (query: pg.QueryConfig) => Promise<pg.QueryResult>

/** When the statistics of the server began: another value says that it may have crashed since. */
export async function statisticsSince(ask: Ask): Promise<string> {
  const { rows } = await ask({ text: 'select stats_reset::text as since from pg_stat_bgwriter' })
  return String(rows[0]?.since)
}

/**
 * Asks once. Returns undefined where the transaction is still under way: its process has lost us and is told to end, so that
 * the next question finds it ended. Throws what the connection fails with.
 */
export async function askFate(ask: Ask, sent: SentCommit): Promise<Fate | undefined> {
  const status = await statusOf(ask, sent.xid)
  if (status === 'in progress') {
    await ask({
      text: 'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_xid = $2::xid',
      values: [sent.backend, String(BigInt(sent.xid) & 0xffff_ffffn)],
    })
    return undefined
  }
  if (status !== 'committed') return status
  return (await statisticsSince(ask)) === sent.statisticsSince ? 'committed' : 'unknown'
}

/** `unknown`: so long ago that the server has forgotten. */
async function statusOf(ask: Ask, xid: string): Promise<Fate | 'in progress'> {
  try {
    const { rows } = await ask({ text: 'select pg_xact_status($1::xid8) as status', values: [xid] })
    return rows[0]?.status ?? 'unknown'
  } catch (error) {
    // "transaction ID … is in the future": a crash has taken it with all that it wrote.
    if (error instanceof pg.DatabaseError && error.code === '22023') return 'aborted'
    throw error
  }
}
