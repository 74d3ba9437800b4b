/** What a node keeps in its data folder besides the store: its name, its key and the administrator's token. */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import { SettingsError } from './config/settings.js'
import { systemRandom } from './core/clock.js'
import { keepKeyCheck, keysFit, needsOldKey } from './core/operations/check-keys.js'
import type { Store } from './core/store/write.js'
import { type Keys, keysFrom } from './core/tokens/keys.js'
import { mintToken } from './core/tokens/token.js'

/** Makes the folder, for nobody else to read, and for no repository that it may lie in to take in. */
export function openDataFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  keepOutOfGit(folder)
}

/**
 * Takes from everybody else what an earlier version, a backup that was unpacked by hand or a careless hand has let them
 * read: the folder and what lies directly in it, with `files` of ours that lie elsewhere. What is deeper cannot be reached
 * without these. Links are not followed. Returns what was mended, and what could not be; never throws.
 */
export function closeToOthers(folder: string, files: readonly string[] = []): { mended: string[]; open: string[] } {
  const mended: string[] = []
  const open: string[] = []
  const inside = readdirSync(folder).map((name) => path.join(folder, name))
  for (const one of new Set([folder, ...inside, ...files])) {
    const stat = lstatSync(one, { throwIfNoEntry: false })
    if (stat === undefined || stat.isSymbolicLink() || (stat.mode & 0o077) === 0) continue
    try {
      chmodSync(one, stat.mode & 0o700)
      mended.push(one)
    } catch {
      open.push(one)
    }
  }
  return { mended, open }
}

function keepOutOfGit(folder: string): void {
  try {
    writeFileSync(path.join(folder, '.gitignore'), '*\n', { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Folders in which backups are made. */
export const stagingPrefix = 'backup-'

/** Removes what backups have left that a stop has cut off. The folder must be held. */
export function discardStaging(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (name.startsWith(stagingPrefix)) rmSync(path.join(folder, name), { recursive: true, force: true })
  }
}

/**
 * The keys of a key file. `make`: it is made if it is not there. Throws `SettingsError` for one that is not right or, where
 * it must not be made, not there.
 */
export function readKeys(file: string, { make, durable = true }: { make: boolean; durable?: boolean }): Keys {
  const makeOrRefuse = () => {
    if (make) return randomBytes(32).toString('base64')
    throw new SettingsError(file, `is not there, and what is stored was sealed with it${lostKeyHint}`)
  }
  const text = readOrMake(file, makeOrRefuse, durable)
  const secret = Buffer.from(text, 'base64')
  if (secret.length < 32) throw new SettingsError(file, 'is not a key file: 32 bytes in base64 are expected')
  return keysFrom(secret)
}

const lostKeyHint =
  ': put it back (a backup holds it; all nodes of a store share one). If it is lost for good, signalbox migrate --new-key goes on without what was sealed'

/** The keys of the key file with which the store was sealed. Throws `SettingsError` if the file is not that one. */
export async function keysOf(store: Store, file: string, durable = true): Promise<Keys> {
  const keys = readKeys(file, { make: !(await needsOldKey(store.read)), durable })
  if (await keysFit(store.read, keys)) await keepKeyCheck(store, keys)
  if (await keysFit(store.read, keys)) return keys
  throw new SettingsError(file, `is not the key file that the store was sealed with${lostKeyHint}`)
}

/**
 * The administrator's token kept in the folder, made at the first start. Throws `SettingsError` where it must not be made,
 * and is not there: it would take the place of the one that other nodes of the store have.
 */
export function readAdminToken(folder: string, { make, durable = true }: { make: boolean; durable?: boolean }): string {
  const file = path.join(folder, 'admin-token')
  const makeOrRefuse = () => {
    if (make) return mintToken('access', systemRandom)
    throw new SettingsError(
      file,
      'is not there, and other nodes share this store: copy it from one of them, or set SIGNALBOX_ADMIN_TOKEN',
    )
  }
  return readOrMake(file, makeOrRefuse, durable)
}

/** The node's name: made once for a folder, so that leases of an earlier run are known as ours. */
export function readNodeName(folder: string, durable = true): string {
  return readOrMake(path.join(folder, 'node'), () => `node-${randomBytes(4).toString('hex')}`, durable)
}

/** `durable`: what is made is on the disk when it is returned. */
function readOrMake(file: string, make: () => string, durable: boolean): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const text = make()
  const temporary = `${file}.new`
  const fd = openSync(temporary, 'w', 0o600)
  writeSync(fd, `${text}\n`)
  if (durable) fsyncSync(fd)
  closeSync(fd)
  renameSync(temporary, file)
  return text
}
