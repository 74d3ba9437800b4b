import { expect, it } from 'vitest'
import { isUncertain } from '../../../src/core/errors.js'
import type { Store, Tx } from '../../../src/core/store/write.js'
import type { Loss } from '../../support/postgres-proxy.js'
import { openProxiedStore } from '../../support/stores.js'

const put = (tx: Tx, key: string) => tx.db.insertInto('meta').values({ key, value: '1' }).execute()
const into = /insert into "meta"/
const keys = async (store: Store) => (await store.read.db.selectFrom('meta').select('key').execute()).map((r) => r.key)

/** A write whose effects are noted. */
function noted(store: Store, key: string) {
  const effects: string[] = []
  const work = store.write(async (tx) => {
    tx.afterCommit(() => effects.push('committed'))
    tx.onRollback(() => effects.push('rolled back'))
    await put(tx, key)
    return 42
  })
  return { effects, work }
}

it.each(['answer', 'swallowed'] as const)('finds a commit of which the %s was lost', async (loss: Loss) => {
  await using box = await openProxiedStore({ commitWaitMs: 2000 })
  const lost = box.proxy.lose(loss, into)
  const { effects, work } = noted(box.store, 'a')
  expect(await work).toBe(42)
  await lost
  expect(effects).toEqual(['committed'])
  expect(await keys(box.store)).toEqual(['a'])
  expect(box.store.stats.commits).toBe(1)
})

it.each(['request', 'half'] as const)('finds a commit (%s) that never arrived, and undoes it', async (loss: Loss) => {
  await using box = await openProxiedStore({ commitWaitMs: 5000 })
  const lost = box.proxy.lose(loss, into)
  const { effects, work } = noted(box.store, 'a')
  const error = await work.catch((thrown) => thrown)
  await lost
  expect(error).toMatchObject({ code: 'unavailable' })
  expect(isUncertain(error)).toBe(false)
  expect(effects).toEqual(['rolled back'])
  expect(await keys(box.store)).toEqual([])
  // The transaction that nobody ends any more holds no lock.
  await box.store.write((tx) => put(tx, 'a'))
})

it('says that it does not know while the database is away, and lets the effects follow when it does', async () => {
  await using box = await openProxiedStore({ commitWaitMs: 1000 })
  const lost = box.proxy.lose('answer', into)
  const settled = new Promise<string>((resolve) => {
    const work = box.store.write(async (tx) => {
      tx.afterCommit(() => resolve('committed'))
      tx.onRollback(() => resolve('rolled back'))
      await put(tx, 'a')
    })
    void lost.then(() => box.proxy.refuse())
    void work.then(
      () => resolve('answered'),
      async (error) => {
        if (!isUncertain(error)) resolve(String(error))
        await box.proxy.listen()
      },
    )
  })
  expect(await settled).toBe('committed')
  expect(await keys(box.store)).toEqual(['a'])
})

it('refuses what it would lose: a query that failed and a body that goes on', async () => {
  await using box = await openProxiedStore()
  await box.store.write((tx) => put(tx, 'a'))
  const work = box.store.write(async (tx) => {
    await put(tx, 'a').catch(() => undefined)
    return 'said'
  })
  await expect(work).rejects.toThrow()
})

it('answers `unavailable` to reads and writes while the database is away, and goes on when it is back', async () => {
  await using box = await openProxiedStore()
  const { store, proxy } = box
  await store.write((tx) => put(tx, 'a'))
  await proxy.refuse()
  for (let i = 0; i < 20; i++) {
    await expect(store.write((tx) => put(tx, 'b'))).rejects.toMatchObject({ code: 'unavailable' })
    await expect(keys(store)).rejects.toMatchObject({ code: 'unavailable' })
  }
  await proxy.listen()
  expect(await keys(store)).toEqual(['a'])
})

it('survives connections that are cut at any moment', async () => {
  await using box = await openProxiedStore({ commitWaitMs: 5000 })
  const { store, proxy } = box
  const rounds = process.env.SIGNALBOX_TEST_LONG ? 2000 : 60
  const kept: string[] = []
  for (let round = 0; round < rounds; round++) {
    // Some may have failed before the cut, of the one before.
    const work = Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        store.write((tx) => put(tx, `${round}.${i}`)).then(() => void kept.push(`${round}.${i}`)),
      ),
    )
    for (let turn = 0; turn < round % 12; turn++) await new Promise((resolve) => setImmediate(resolve))
    proxy.cut()
    for (const result of await work) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'unavailable' })
    }
  }
  expect((await keys(store)).sort()).toEqual(kept.sort())
})
