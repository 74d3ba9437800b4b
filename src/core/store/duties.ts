/**
 * What one node at a time does for all. It is held for a term, which its holder renews; who lets it run out is followed by
 * whoever asks next. Time is the database's. A new holder has a new number (`fence`).
 */
import { sql } from 'kysely'
import { databaseNow } from './database-time.js'
import type { Tx } from './write.js'

/** Takes the duty or renews its term. Returns the number of the holder; undefined: another node has it. */
export async function holdDuty(
  tx: Tx,
  { name, holder, termMs }: { name: string; holder: string; termMs: number },
): Promise<number | undefined> {
  await tx.db
    .insertInto('duties')
    .values({ name, holder: null, fence: 0, held_until: 0 })
    .onConflict((c) => c.column('name').doNothing())
    .execute()
  const row = await tx.db
    .updateTable('duties')
    .set({
      holder,
      fence: sql<number>`case when holder = ${holder} then fence else fence + 1 end`,
      held_until: sql<number>`${databaseNow(tx)} + ${termMs}`,
    })
    .where('name', '=', name)
    .where((e) => e.or([e('holder', 'is', null), e('holder', '=', holder), e('held_until', '<=', databaseNow(tx))]))
    .returning('fence')
    .executeTakeFirst()
  return row?.fence
}

/** Lets it go, so that another need not wait for the end of the term. */
export async function releaseDuties(tx: Tx, holder: string): Promise<void> {
  await tx.db.updateTable('duties').set({ holder: null, held_until: 0 }).where('holder', '=', holder).execute()
}
