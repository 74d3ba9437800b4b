/**
 * Rows that a body has made and not inserted yet. A job that is queued and offered in the body that makes it would be
 * inserted, updated and updated again; so would its stage and pipeline. They are inserted in the state that they have when
 * a statement might see them, at the latest when the body ends, and those of a table together.
 */
import { type Insertion, insertions, type ManyRows, type Row } from './insert-many.js'
import { type UnwrittenTable, unwrittenTables } from './unwritten-tables.js'

/** The rows of one body. */
export class Unwritten {
  #rows = new Map<UnwrittenTable, { statements: ManyRows; rows: Map<number | string, Row> }>()

  get isEmpty(): boolean {
    return this.#rows.size === 0
  }

  /** A row that is to be inserted, by its key; it is not changed, but `put` again. */
  put(table: UnwrittenTable, statements: ManyRows, key: number | string, row: Row): void {
    let waiting = this.#rows.get(table)
    if (!waiting) {
      waiting = { statements, rows: new Map() }
      this.#rows.set(table, waiting)
    }
    waiting.rows.set(key, row)
  }

  /** Makes a row that waits another one. Returns whether it waits. */
  change(table: UnwrittenTable, key: number, fields: Row): boolean {
    const rows = this.#rows.get(table)?.rows
    const row = rows?.get(key)
    if (row) rows!.set(key, { ...row, ...fields })
    return row !== undefined
  }

  /** What inserts them, in an order in which it can be done. They do not wait any more. */
  take(): Insertion[] {
    const taken = this.#rows
    this.#rows = new Map()
    return unwrittenTables.flatMap((table) => {
      const waiting = taken.get(table)
      return waiting ? insertions(waiting.statements, [...waiting.rows.values()]) : []
    })
  }
}
