import { sql } from 'kysely'
import { it } from 'vitest'
import { expectKept } from '../../support/kept-file.js'
import { openTestStore } from '../../support/stores.js'

it('is kept in test/core/schema.sql, so that a review sees what a migration does', async () => {
  await using box = await openTestStore('sqlite')
  const { rows } = await sql<{ sql: string }>`
    select sql from sqlite_master where sql is not null and name not like 'sqlite_%' and name not like 'kysely_%'
    order by tbl_name, type desc, name`.execute(box.store.read.db)
  const statements = rows.map(
    (row) => `${row.sql.replaceAll(', "', ',\n  "').replaceAll(', constraint', ',\n  constraint')};`,
  )
  expectKept('test/core/schema.sql', `${statements.join('\n\n')}\n`)
})
