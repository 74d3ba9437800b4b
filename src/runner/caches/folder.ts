/** Caches in a folder of this machine. */
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { CachePlace } from './cache-place.js'

/** Archives that no job has used for 14 days are deleted. */
const keepMs = 14 * 24 * 3_600_000

/** Caches in a folder of this machine, for a runner that has nobody to share them with. */
export function folderCaches(folder: string): CachePlace {
  const fileOf = (key: string) => path.join(folder, `${createHash('sha256').update(key).digest('hex')}.zip`)
  return {
    async fetch(key, file) {
      try {
        await fs.promises.copyFile(fileOf(key), file, fs.constants.COPYFILE_FICLONE)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
        throw error
      }
      const now = new Date()
      await fs.promises.utimes(fileOf(key), now, now).catch(() => undefined)
      return true
    },
    async save(key, archive) {
      await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 })
      const draft = path.join(folder, `${randomBytes(8).toString('hex')}.new`)
      try {
        await pipeline(archive(), fs.createWriteStream(draft, { mode: 0o600 }))
        await fs.promises.rename(draft, fileOf(key))
      } catch (error) {
        await fs.promises.rm(draft, { force: true })
        throw error
      }
      await prune(folder)
    },
  }
}

async function prune(folder: string): Promise<void> {
  for (const name of await fs.promises.readdir(folder)) {
    const file = path.join(folder, name)
    const stat = await fs.promises.stat(file).catch(() => undefined)
    if (stat?.isFile() && Date.now() - stat.mtimeMs > keepMs) await fs.promises.rm(file, { force: true })
  }
}
