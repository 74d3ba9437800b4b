/** Holds a data folder for one process: an exclusive transaction on `lock.db`, which ends with the process however it ends. */
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { SignalboxError } from '../errors.js'

/** A data folder that this process holds until it lets go, or ends. */
export interface DataLock {
  release(): void
}

/** Throws `conflict` when another process holds the folder. */
export function lockDataFolder(folder: string): DataLock {
  const db = new Sqlite(path.join(folder, 'lock.db'), { timeout: 0 })
  try {
    db.pragma('journal_mode = DELETE')
    db.exec('begin exclusive')
  } catch (error) {
    db.close()
    const code = String((error as { code?: unknown }).code)
    if (!/^SQLITE_(BUSY|LOCKED)/.test(code)) throw error
    throw new SignalboxError('conflict', `another signalbox holds ${folder}`, { cause: error })
  }
  return { release: () => db.close() }
}
