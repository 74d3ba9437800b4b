import { expect, it } from 'vitest'
import { hotQuery } from '../../../src/core/store/hot-query.js'

const query = hotQuery<{ id: number }, 'name'>((db, p) =>
  db
    .selectFrom('projects')
    .select('id')
    .where('name', '=', p('name'))
    .where('builds_enabled', '=', 1)
    .where('visibility', '=', "o'clock" as never)
    .limit(3),
)

it('writes values that a query fixes into its text, so that no engine plans it anew for them', () => {
  const sqlite = query.compiledFor('sqlite')
  expect(sqlite.sql).toBe(
    `select "id" from "projects" where "name" = ? and "builds_enabled" = 1 and "visibility" = 'o''clock' limit 3`,
  )
  expect(sqlite.slots).toEqual([{ param: 'name' }])
  expect(query.compiledFor('postgres').sql).toContain('"name" = $1 and "builds_enabled" = 1')
})
