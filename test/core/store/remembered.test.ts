import { expect, it } from 'vitest'
import { findProject } from '../../../src/core/store/projects.js'
import type { SqliteStore } from '../../../src/core/store/sqlite-store.js'
import { findUser } from '../../../src/core/store/users.js'
import { startTestCore } from '../../support/core.js'

/** Counts what the reading connection is asked, by what the writer prepares anew: nothing reaches it from memory. */
async function withProject() {
  const box = await startTestCore('sqlite')
  const project = await box.project({ test: { script: 'true' } })
  return {
    box,
    id: project.id,
    store: box.core.store as SqliteStore,
    [Symbol.asyncDispose]: () => box[Symbol.asyncDispose](),
  }
}

it('an answer is told again, as a copy, until its table is written', async () => {
  await using place = await withProject()
  const { store, id } = place
  const first = (await findProject(store.read, id))!
  Object.assign(first, { name: 'mine' })
  expect((await findProject(store.read, id))?.name).not.toBe('mine')
  await store.write((tx) => tx.db.updateTable('projects').set({ name: 'other' }).where('id', '=', id).execute())
  expect((await findProject(store.read, id))?.name).toBe('other')
  await store.write((tx) => tx.db.deleteFrom('hook_deliveries').execute())
  expect((await findProject(store.read, id))?.name).toBe('other')
})

it('what is not there is found as soon as it is', async () => {
  await using place = await withProject()
  const { store } = place
  expect(await findUser(store.read, 2)).toBeUndefined()
  const row = {
    username: 'u',
    name: 'U',
    email: 'u@x',
    is_admin: 0,
    state: 'active',
    project_id: null,
    created_at: 1,
  } as const
  await store.write((tx) =>
    tx.db
      .insertInto('users')
      .values({ ...row, access_level: null, id: 2 } as never)
      .execute(),
  )
  expect((await findUser(store.read, 2))?.username).toBe('u')
})

it('readers see nothing that is not committed, and the writer sees what it has written', async () => {
  await using place = await withProject()
  const { store, id } = place
  const before = (await findProject(store.read, id))!.name
  const seen: unknown[] = []
  const failing = store.write(async (tx) => {
    await tx.db.updateTable('projects').set({ name: 'half' }).where('id', '=', id).execute()
    seen.push((await findProject(store.read, id))?.name, (await findProject(tx, id))?.name)
    throw new Error('changed its mind')
  })
  await expect(failing).rejects.toThrow('changed its mind')
  seen.push((await findProject(store.read, id))?.name)
  expect(seen).toEqual([before, 'half', before])
  // The same where the batch goes on and is committed.
  const [, ok] = await Promise.allSettled([
    store.write(async (tx) => {
      await tx.db.updateTable('projects').set({ name: 'half' }).where('id', '=', id).execute()
      await findProject(tx, id)
      throw new Error('changed its mind')
    }),
    store.write(async (tx) => (await findProject(tx, id))?.name),
  ])
  expect(ok).toMatchObject({ value: before })
  expect((await findProject(store.read, id))?.name).toBe(before)
})

it('what is read while a transaction is open, after other reads have ended, is forgotten at its commit', async () => {
  await using place = await withProject()
  const { store, id } = place
  let seen: string | undefined
  const [, held] = await Promise.allSettled([
    store.write((tx) => tx.db.updateTable('projects').set({ name: 'new' }).where('id', '=', id).execute()),
    store.write(() => {
      // Two reads share a transaction of the reading connection, which ends with this turn.
      for (const other of [998, 999]) findProject(store.read, other).catch(expect.unreachable)
      setImmediate(() => {
        findProject(store.read, id).then((project) => {
          seen = project?.name
        }, expect.unreachable)
      })
      return new Promise(() => {})
    }),
  ])
  expect(held.status).toBe('rejected')
  expect(seen).not.toBe('new')
  expect((await findProject(store.read, id))?.name).toBe('new')
})
