/** Single values of the whole installation. */
import type { Reader, Tx } from './write.js'

/** Returns the value under this key; undefined: it was never set. */
export async function findMeta(from: Reader | Tx, key: string): Promise<string | undefined> {
  const row = await from.db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst()
  return row?.value
}

/** Sets a value that is not there, or still is `before`. Returns false if another node was quicker. */
export async function setMeta(tx: Tx, key: string, value: string, before: string | undefined): Promise<boolean> {
  const rows =
    before === undefined
      ? await tx.db
          .insertInto('meta')
          .values({ key, value })
          .onConflict((c) => c.doNothing())
          .returning('key')
          .execute()
      : await tx.db
          .updateTable('meta')
          .set({ value })
          .where('key', '=', key)
          .where('value', '=', before)
          .returning('key')
          .execute()
  return rows.length > 0
}

/** Sets a value, whatever it was before. */
export async function putMeta(tx: Tx, key: string, value: string): Promise<void> {
  await tx.db
    .insertInto('meta')
    .values({ key, value })
    .onConflict((c) => c.column('key').doUpdateSet({ value }))
    .execute()
}
