/**
 * Answers to what a node asks with nearly each request: whose token this is, which project, what is set for it. A node is the
 * only writer of its SQLite database, so an answer stands until this process has written one of the tables that it is made of.
 *
 * What is remembered is what is committed. A transaction that has written such a table asks the database itself; the commit
 * makes the answers be forgotten, in the same turn and before anybody is told of it.
 */
import { RecentMap } from '../recent-map.js'
import type { CompiledHotQuery, Value } from './hot-query.js'

type Rows = readonly Readonly<Record<string, unknown>>[]

/** Answers kept for each query: those that were not asked for lately go. */
const limit = 2048
/** An answer of more rows is not kept, nor one to a longer question: anybody may ask for anything. */
const mostRows = 100
const longestKey = 200

/** What the connections of one store remember. */
export class Remembered {
  readonly #answers = new Map<CompiledHotQuery, RecentMap<string, Rows>>()
  /** Tables that the open transaction has written. */
  readonly #written = new Set<string>()

  /** The rows of `query`, from memory or by `ask`. `inside`: for the transaction that writes. They are copies. */
  rows(query: CompiledHotQuery, values: readonly Value[], inside: boolean, ask: () => Rows): Rows {
    const { remembered } = query
    if (remembered === undefined || (inside && this.#hasWritten(remembered))) return ask()
    let answers = this.#answers.get(query)
    if (!answers) {
      answers = new RecentMap(limit)
      this.#answers.set(query, answers)
    }
    const key = JSON.stringify(values)
    const known = answers.get(key)
    if (known) return known.map((row) => ({ ...row }))
    const rows = ask()
    if (rows.length <= mostRows && key.length <= longestKey) {
      answers.set(
        key,
        rows.map((row) => ({ ...row })),
      )
    }
    return rows
  }

  /** The open transaction has written this table; `unknown`: any. */
  wrote(table: string | undefined): void {
    if (table !== undefined) this.#written.add(table)
  }

  /** The transaction has ended. */
  settle(): void {
    if (this.#written.size === 0) return
    for (const query of this.#answers.keys()) if (this.#hasWritten(query.remembered!)) this.#answers.delete(query)
    this.#written.clear()
  }

  /** Forgets everything. */
  clear(): void {
    this.#answers.clear()
    this.#written.clear()
  }

  #hasWritten(tables: readonly string[]): boolean {
    return this.#written.size > 0 && (this.#written.has('unknown') || tables.some((table) => this.#written.has(table)))
  }
}
