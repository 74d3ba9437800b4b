/** `signalbox migrate`: brings the database to this version's schema, and says what it did. */
import { SettingsError } from '../../config/settings.js'
import { SystemClock } from '../../core/clock.js'
import { SignalboxError } from '../../core/errors.js'
import { acceptKeys } from '../../core/operations/check-keys.js'
import { lockDataFolder } from '../../core/store/data-lock.js'
import { listMigrations } from '../../core/store/migrate.js'
import { openStore } from '../../core/store/open.js'
import { isStoreAway } from '../../core/store/wait.js'
import { openDataFolder, readKeys } from '../../data-folder.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { settingsFrom } from './serve.js'

/** Brings the schema up to date while no coordinator runs; with `newKey` the store goes on with another key file. */
export async function migrate({
  newKey,
  ...options
}: {
  config?: string
  dataDir?: string
  database?: string
  newKey?: boolean
}): Promise<void> {
  const { terminal } = openContext()
  const settings = settingsFrom(options)
  openDataFolder(settings.dataDir)
  try {
    const lock = lockDataFolder(settings.dataDir)
    const store = await openStore({
      url: settings.database,
      clock: new SystemClock(),
      report: (error) => terminal.say(String(error)),
      fatal: (error) => {
        throw error
      },
      checkpoints: false,
    })
    const names = await listMigrations(store.read)
    if (newKey) await acceptKeys(store, readKeys(settings.keyFile, { make: true }))
    await store.close()
    lock.release()
    terminal.say(`the schema is up to date: ${names.join(', ')}`)
    if (newKey) terminal.say(`the store goes on with the key file ${settings.keyFile}`)
  } catch (error) {
    if (error instanceof SettingsError) throw new Exit(exitCodes.usage, error.message)
    if (isStoreAway(error)) throw new Exit(exitCodes.databaseAway, (error as Error).message)
    if (!(error instanceof SignalboxError)) throw error
    throw new Exit(error.code === 'conflict' ? exitCodes.heldByAnother : exitCodes.usage, error.message)
  }
}
