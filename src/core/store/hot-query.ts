/**
 * Queries of the hot paths: written with Kysely, compiled once an engine, run as prepared statements. On SQLite that is a
 * quarter of the cost of building the query each time.
 */
import {
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Engine } from './engine.js'
import { writtenTable } from './known-rows.js'
import type { Database } from './schema.js'
import { seesUnwritten } from './unwritten-tables.js'

/** Values that both drivers take as parameters. */
export type Value = number | string | null | Uint8Array

/** The values of a query by the names of its parameters. */
export type Params<Names extends string> = Readonly<Record<Names, Value>>

/** A query as an engine runs it. */
export interface CompiledHotQuery {
  /** Short and unique: the name of the prepared statement on PostgreSQL. */
  name: string
  sql: string
  /** The parameter at each placeholder; of a statement for many rows, and of which of them. */
  slots: readonly { param: string; row?: number }[]
  /** The table that it writes without telling what becomes of the rows, if it does (`known-rows.ts`). */
  forgets: string | undefined
  /** Whether rows that wait (`unwritten.ts`) are to be inserted before it. */
  seesUnwritten: boolean
  /** The tables that it reads, if its answers are remembered (`remembered.ts`). */
  remembered: readonly string[] | undefined
}

/** A query that is compiled once for each engine. */
export interface HotQuery<Result, Names extends string> {
  compiledFor(engine: Engine): CompiledHotQuery
  /** Only for the type checker: what the query takes and gives. */
  readonly types?: [Result, Names]
}

class Slot {
  constructor(
    readonly param: string,
    readonly row: number | undefined,
  ) {}
}

/** A row by the names of the parameters that its columns are given by. */
export type Row = Readonly<Record<string, Value>>

/**
 * Stands for a parameter while the query is compiled. It passes as a value of whatever type the column has, since the
 * type checker knows the column and the caller of the query knows the value.
 */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Placeholder = any

let count = 0

/**
 * Declares a hot query. `build` gets a Kysely instance and a function that makes a named parameter.
 *
 * `keepsKnown`: whoever runs it tells what is known of the rows; others make all of the table be forgotten.
 * `remembered`: all tables that it reads, for a query that is asked again and again and whose answer hardly ever changes.
 *
 *     const byId = hotQuery<{ name: string }, 'id'>((db, p) => db.selectFrom('jobs').select('name').where('id', '=', p('id')))
 */
export function hotQuery<Result, Names extends string>(
  build: (db: Kysely<Database>, p: (name: Names, row?: number) => Placeholder, engine: Engine) => Compilable<unknown>,
  { keepsKnown = false, remembered }: { keepsKnown?: boolean; remembered?: readonly string[] } = {},
): HotQuery<Result, Names> {
  const compiled: Partial<Record<Engine, CompiledHotQuery>> = {}
  const name = `hot_${++count}`
  return {
    compiledFor(engine) {
      compiled[engine] ??= { ...compile(name, engine, build as never, keepsKnown), remembered }
      return compiled[engine]
    },
  }
}

/** The values of a hot query's placeholders in order. `rows`: for a statement that inserts many. */
export function bind({ slots }: CompiledHotQuery, params: Row, rows: readonly Row[] = []): Value[] {
  const values: Value[] = new Array(slots.length)
  for (let i = 0; i < slots.length; i++) {
    const { param, row } = slots[i]!
    const value = (row === undefined ? params : rows[row]!)[param]
    if (value === undefined) throw new TypeError(`parameter ${param} is missing`)
    values[i] = value
  }
  return values
}

function compile(
  name: string,
  engine: Engine,
  build: (db: Kysely<Database>, p: (name: string, row?: number) => Placeholder, engine: Engine) => Compilable<unknown>,
  keepsKnown: boolean,
): Omit<CompiledHotQuery, 'remembered'> {
  const { sql, parameters } = build(compilers[engine](), (param, row) => new Slot(param, row), engine).compile()
  const slots: Slot[] = []
  let seen = 0
  const text = sql.replace(placeholder[engine], (mark) => {
    const value = parameters[mark === '?' ? seen++ : Number(mark.slice(1)) - 1]
    if (!(value instanceof Slot)) return literal(value as Value)
    slots.push(value)
    return engine === 'postgres' ? `$${slots.length}` : '?'
  })
  return {
    name,
    sql: text,
    slots,
    seesUnwritten: seesUnwritten(text),
    forgets: keepsKnown ? undefined : writtenTable(text),
  }
}

/** No text in a hot query holds one of these, or it could not be told from a placeholder. */
const placeholder: Record<Engine, RegExp> = { sqlite: /\?/g, postgres: /\$\d+/g }

/**
 * Values that a query fixes stand in it as literals. Bound, they would make SQLite prepare the statement anew at each run
 * wherever its plan depends on them (a limit, a term that a partial index asks about), which costs ten times the query;
 * and PostgreSQL's generic plan could not use that index.
 */
function literal(value: Value): string {
  if (value === null) return 'null'
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  throw new TypeError('a hot query cannot hold such a value')
}

const compilers: Record<Engine, () => Kysely<Database>> = {
  sqlite: () =>
    new Kysely<Database>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    }),
  postgres: () =>
    new Kysely<Database>({
      dialect: {
        createAdapter: () => new PostgresAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (db) => new PostgresIntrospector(db),
        createQueryCompiler: () => new PostgresQueryCompiler(),
      },
    }),
}
