/** What is asked for by project and commit is found by an index, however many pipelines a project has. */
import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { openTestStore } from '../../support/stores.js'

it('finds the pipelines of a commit without reading the others of its project', async () => {
  await using box = await openTestStore('sqlite')
  const plan = await sql<{ detail: string }>`
    explain query plan select id from pipelines where project_id = 1 and sha = 'a' order by id desc limit 1
  `.execute(box.store.read.db)
  expect(plan.rows.map(({ detail }) => detail)).toEqual([
    'SEARCH pipelines USING COVERING INDEX pipelines_by_commit (project_id=? AND sha=?)',
  ])
})
