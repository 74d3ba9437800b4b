/**
 * What the writer knows of rows without asking. On SQLite a node is the only one that writes its store, one body after
 * another on one connection, so a row of a job or lease that a body has read or written stands until this connection
 * writes it again: a job's life reads its rows five times, and each read costs what the rest of a short body costs.
 *
 * It never holds more than the database: whatever writes such a table without keeping this up to date makes it forget the
 * table, and any body or commit that fails makes it forget everything. On PostgreSQL there is none.
 */
import type { Job } from '../job.js'
import type { Lease } from '../lease.js'

/** Rows kept a table: the oldest go first. */
const limit = 4096

/** Rows of one table by job. They are not to be changed: a taker makes a copy. */
class KnownTable<Row extends object> {
  readonly #rows = new Map<number, Readonly<Row>>()
  /** For tests: is shown each row that is taken, to compare it with the database. */
  check: ((row: Readonly<Row>) => void) | undefined

  get(jobId: number): Readonly<Row> | undefined {
    const row = this.#rows.get(jobId)
    if (row) this.check?.(row)
    return row
  }

  set(jobId: number, row: Readonly<Row>): void {
    this.#rows.delete(jobId)
    if (this.#rows.size >= limit) this.#rows.delete(this.#rows.keys().next().value as number)
    this.#rows.set(jobId, row)
  }

  /** The row, if it is known, with what has been written of it. */
  change(jobId: number, isMeant: (row: Readonly<Row>) => boolean, written: Partial<Row>): void {
    const row = this.#rows.get(jobId)
    if (row && isMeant(row)) this.#rows.set(jobId, { ...row, ...written })
  }

  forget(jobId: number): void {
    this.#rows.delete(jobId)
  }

  clear(): void {
    this.#rows.clear()
  }
}

/** Rows that one connection has written or read, by job. Transactions that fail make it forget. */
export class KnownRows {
  readonly jobs = new KnownTable<Job>()
  /** The newest lease of each job. */
  readonly leases = new KnownTable<Lease>()

  /** A statement wrote this table without telling what became of its rows. */
  forgetWritten(table: string | undefined): void {
    if (table === 'jobs') this.jobs.clear()
    else if (table === 'leases') this.leases.clear()
    else if (table === 'unknown') this.clear()
  }

  clear(): void {
    this.jobs.clear()
    this.leases.clear()
  }
}

/**
 * The table that a statement writes; undefined: it only reads; `unknown`: it may write several, as a deletion does that
 * takes dependent rows with it.
 */
export function writtenTable(sql: string): string | undefined {
  const written = /^\s*(?:insert into|update)\s+"?(\w+)"?/i.exec(sql)
  if (written) return written[1]!.toLowerCase()
  return /^\s*(?:select|begin|commit|savepoint|release|pragma|with\b(?!.*\b(?:insert|update|delete)\b))/is.test(sql)
    ? undefined
    : 'unknown'
}
