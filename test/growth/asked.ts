/** What is asked of a store: every statement, with its first parameters and who asked first. */
import pg from 'pg'
import { vi } from 'vitest'
import { bind, type HotQuery, type Params } from '../../src/core/store/hot-query.js'
import { SqliteConnection } from '../../src/core/store/sqlite-connection.js'

export interface Asked {
  sql: string
  params: readonly unknown[]
  by: string
}

/** Notes statements as both engines are given them, until it is stopped. `by`: who asks from now on. */
export class Asking {
  by = ''
  readonly #seen = new Map<string, Asked>()
  readonly #spies: { mockRestore(): void }[]

  constructor() {
    const note = (sql: string, params: readonly unknown[]) => {
      if (!this.#seen.has(sql)) this.#seen.set(sql, { sql, params, by: this.by })
    }
    const { executeQuery, all } = SqliteConnection.prototype
    const { query } = pg.Client.prototype
    this.#spies = [
      vi.spyOn(SqliteConnection.prototype, 'executeQuery').mockImplementation(function (this: SqliteConnection, asked) {
        note(asked.sql, asked.parameters)
        return executeQuery.call(this, asked) as never
      }),
      vi.spyOn(SqliteConnection.prototype, 'all').mockImplementation(function (this: SqliteConnection, hot, params) {
        const compiled = (hot as HotQuery<unknown, string>).compiledFor('sqlite')
        note(compiled.sql, bind(compiled, params as Params<string>))
        return all.call(this, hot as HotQuery<unknown, string>, params as Params<string>)
      }),
      vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client, ...given: unknown[]) {
        const [asked] = given as [pg.QueryConfig | string]
        if (typeof asked === 'object' && asked.text) note(asked.text, asked.values ?? [])
        return query.apply(this, given as never) as never
      }),
    ]
  }

  stop(): Asked[] {
    for (const spy of this.#spies) spy.mockRestore()
    return [...this.#seen.values()]
  }
}
