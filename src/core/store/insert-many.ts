/** Rows that come together, inserted by few statements. */
import type { Compilable, Kysely } from 'kysely'
import { type HotQuery, hotQuery, type Placeholder, type Value } from './hot-query.js'
import type { Database } from './schema.js'
import type { Tx } from './write.js'

export type Row = Readonly<Record<string, Value>>

/** The statement that inserts so many rows and returns their ids. */
export type ManyRows = (count: number) => HotQuery<{ id: number }, string>

/** Rows in one statement: their own cost is most of it then. */
const atOnce = 25

/** Declares the statements for one row, for two, and so on; each is made when it is first asked for. */
export function manyRows(
  build: (
    db: Kysely<Database>,
    p: (name: string, row: number) => Placeholder,
    rows: readonly number[],
  ) => Compilable<unknown>,
  options?: { keepsKnown: boolean },
): ManyRows {
  const made: HotQuery<{ id: number }, string>[] = []
  return (count) => {
    const rows = Array.from({ length: count }, (_, row) => row)
    made[count] ??= hotQuery((db, p) => build(db, (name, row) => p(`${name} ${row}`), rows), options)
    return made[count]
  }
}

/** Inserts rows and returns their ids, which rise in the order of the rows; a statement may tell them in any. */
export async function insertMany(tx: Tx, statements: ManyRows, rows: readonly Row[]): Promise<number[]> {
  const ids: number[] = []
  for (let from = 0; from < rows.length; from += atOnce) {
    const some = rows.slice(from, from + atOnce)
    const params: Record<string, Value> = {}
    for (const [i, row] of some.entries()) for (const name of Object.keys(row)) params[`${name} ${i}`] = row[name]!
    const made = await tx.all(statements(some.length), params)
    ids.push(...made.map(({ id }) => id).sort((a, b) => a - b))
  }
  return ids
}
