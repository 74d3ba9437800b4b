/** Rows that come together, inserted by few statements. */
import type { Compilable, Kysely } from 'kysely'
import { type HotQuery, hotQuery, type Placeholder, type Row } from './hot-query.js'
import type { Database } from './schema.js'

export type { Row } from './hot-query.js'

/** The statement that inserts so many rows. */
export type ManyRows = (count: number) => HotQuery<never, never>

/** A statement and its rows. */
export interface Insertion {
  query: HotQuery<never, never>
  rows: readonly Row[]
}

/** Rows in one statement: their own cost is most of it then. */
const atOnce = 25

/** Declares the statements for one row, for two, and so on; each is made when it is first asked for. */
export function manyRows(
  build: (
    db: Kysely<Database>,
    p: (name: string, row: number) => Placeholder,
    rows: readonly number[],
  ) => Compilable<unknown>,
): ManyRows {
  const made: HotQuery<never, never>[] = []
  return (count) => {
    made[count] ??= hotQuery<never, string>(
      (db, p) =>
        build(
          db,
          p,
          Array.from({ length: count }, (_, row) => row),
        ),
      { keepsKnown: true },
    ) as HotQuery<never, never>
    return made[count]
  }
}

/** The statements that insert these rows. What is known of them is the caller's to tell. */
export function insertions(statements: ManyRows, rows: readonly Row[]): Insertion[] {
  if (rows.length <= atOnce) return [{ query: statements(rows.length), rows }]
  const list: Insertion[] = []
  for (let from = 0; from < rows.length; from += atOnce) {
    const some = rows.slice(from, from + atOnce)
    list.push({ query: statements(some.length), rows: some })
  }
  return list
}
