import { expect, it } from 'vitest'
import { openStore } from '../../../src/core/store/open.js'
import { SqliteConnection } from '../../../src/core/store/sqlite-connection.js'
import { ManualClock } from '../../support/manual-clock.js'
import { openTestStore, sqlitePlace } from '../../support/stores.js'

it('reads that share a turn’s snapshot miss no commit of that turn', async () => {
  await using box = await openTestStore('sqlite')
  const { store } = box
  const keys = async () =>
    (await store.read.db.selectFrom('meta').select('key').orderBy('key').execute()).map((r) => r.key)
  const put = (key: string) =>
    store.write(async (tx) => {
      await tx.db.insertInto('meta').values({ key, value: '' }).execute()
    })
  const before = await keys()
  await put('a')
  expect(await keys()).toEqual([...before, 'a'])
  await Promise.all([
    put('b').then(async () => expect(await keys()).toContain('b')),
    keys()
      .then(async () => put('c'))
      .then(async () => expect(await keys()).toContain('c')),
    keys(),
  ])
  expect(await keys()).toEqual([...before, 'a', 'b', 'c'])
})

it('a snapshot does not outlive its turn: another process’s commit is seen in the next', async () => {
  const place = sqlitePlace()
  const store = await openStore({ url: place.url, clock: new ManualClock(), report: () => {}, fatal: () => {} })
  const other = new SqliteConnection(place.file)
  const count = async () => (await store.read.db.selectFrom('meta').selectAll().execute()).length
  const before = await count()
  other.raw.exec(`insert into meta (key, value) values ('other', '')`)
  await new Promise((resolve) => setImmediate(resolve))
  expect(await count()).toBe(before + 1)
  other.close()
  await store.close()
  await place.remove()
})
