/** `signalbox migrate`: brings the database to this version's schema, and says what it did. */
import { systemClock } from '../../core/clock.js'
import { SignalboxError } from '../../core/errors.js'
import { lockDataFolder } from '../../core/store/data-lock.js'
import { openStore } from '../../core/store/open.js'
import { openDataFolder } from '../../data-folder.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { settingsFrom } from './serve.js'

export async function migrate(options: { config?: string; dataDir?: string; database?: string }): Promise<void> {
  const { terminal } = openContext()
  const settings = settingsFrom(options)
  openDataFolder(settings.dataDir)
  try {
    const lock = lockDataFolder(settings.dataDir)
    const store = await openStore({
      url: settings.database,
      clock: systemClock(),
      report: (error) => terminal.say(String(error)),
      fatal: (error) => {
        throw error
      },
      checkpoints: false,
    })
    const rows = await store.read.db
      .selectFrom('kysely_migration' as never)
      .select(['name' as never])
      .execute()
    await store.close()
    lock.release()
    terminal.say(`the schema is up to date: ${(rows as { name: string }[]).map((row) => row.name).join(', ')}`)
  } catch (error) {
    if (!(error instanceof SignalboxError)) throw error
    throw new Exit(error.code === 'conflict' ? exitCodes.heldByAnother : exitCodes.usage, error.message)
  }
}
