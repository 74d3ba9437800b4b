/** Unpacks zip archives that nobody vouches for. */
import fs from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import yauzl from 'yauzl'
import { messageOf } from '../runner-error.js'
import type { SelectLog } from './select.js'

/** What an archive may hold at most: it comes from a job, and jobs run anything. */
const limits = { entries: 1_000_000, bytes: 16 * 1024 ** 3, linkBytes: 4096 }

/**
 * Unpacks a zip archive below `root` and nowhere else. Names with `..` or a leading `/` end it; nothing is written
 * through a symbolic link, whoever made it. Links are made as they were, wherever they lead, when all else is there:
 * virtual environments and tool chains are full of such that lead out (gitlab-runner helpers/archives/zip_extract.go).
 * Devices and pipes are left out. Modes and times are kept. What cannot be written is warned of and passed over, as GitLab Runner does.
 * @throws Error if the archive is broken, too large or tries to leave the folder.
 */
export async function extract(file: string, root: string, log: SelectLog): Promise<void> {
  const archive = await open(file)
  const folders = new Folders(root)
  const links = new Map<string, Buffer>()
  try {
    if (archive.entryCount > limits.entries) throw new Error(`the archive has ${archive.entryCount} entries`)
    let bytes = 0
    for await (const entry of entriesOf(archive)) {
      bytes += entry.uncompressedSize
      if (bytes > limits.bytes) throw new Error(`the archive holds more than ${limits.bytes} bytes`)
      if (entry.fileName.includes('\0')) throw new Error('invalid characters in a name')
      try {
        await extractEntry(archive, entry, root, folders, links, log)
      } catch (error) {
        log.warning(`${entry.fileName}: ${messageOf(error)}`)
      }
    }
    for (const [name, to] of links) {
      try {
        makeLink(root, folders, name, to)
      } catch (error) {
        log.warning(`${name}: ${messageOf(error)}`)
      }
    }
    folders.finish()
  } finally {
    archive.close()
  }
}

async function extractEntry(
  archive: yauzl.ZipFile,
  entry: yauzl.Entry,
  root: string,
  folders: Folders,
  links: Map<string, Buffer>,
  log: SelectLog,
): Promise<void> {
  const name = path.posix.normalize(entry.fileName).replace(/\/+$/, '')
  const mode = (entry.externalFileAttributes >>> 16) & 0xffff
  const type = mode & fs.constants.S_IFMT
  const target = path.join(root, name)
  if (entry.fileName.endsWith('/') || type === fs.constants.S_IFDIR) {
    folders.enter(name)
    folders.remember(target, mode & 0o777)
    return
  }
  folders.enter(path.posix.dirname(name))
  // The last entry of a name counts, whatever its kind is.
  links.delete(name)
  if (type === fs.constants.S_IFLNK) {
    links.set(name, await readLink(archive, entry))
  } else if (type === 0 || type === fs.constants.S_IFREG) {
    fs.rmSync(target, { force: true })
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants
    const file = await fs.promises.open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    // Not a stream on the descriptor: one that fails closes it, whatever it was told, and it may be another file's by then.
    try {
      await fs.promises.writeFile(file, await read(archive, entry))
      await file.chmod(mode === 0 ? 0o644 : mode & 0o777)
      const modified = entry.getLastModDate()
      await file.utimes(modified, modified)
    } finally {
      await file.close()
    }
  } else log.warning(`File ignored: ${name}`)
}

async function readLink(archive: yauzl.ZipFile, entry: yauzl.Entry): Promise<Buffer> {
  if (entry.uncompressedSize > limits.linkBytes) throw new Error('the link is too long')
  return buffer(await read(archive, entry))
}

/** A link where a folder is stays away; one below another link too. */
function makeLink(root: string, folders: Folders, name: string, to: Buffer): void {
  folders.enter(path.posix.dirname(name))
  fs.rmSync(path.join(root, name), { force: true })
  fs.symlinkSync(to, path.join(root, name))
}

/** The folders below `root`: made as they are needed, entered only if they are real. */
class Folders {
  readonly #known = new Set<string>()
  readonly #modes = new Map<string, number>()

  constructor(private readonly root: string) {}

  enter(relative: string): void {
    let folder = this.root
    for (const part of relative.split('/').filter((each) => each !== '' && each !== '.')) {
      folder = path.join(folder, part)
      if (this.#known.has(folder)) continue
      const stat = fs.lstatSync(folder, { throwIfNoEntry: false })
      if (stat === undefined) fs.mkdirSync(folder)
      else if (stat.isSymbolicLink()) throw new Error('leads through a symbolic link')
      else if (!stat.isDirectory()) throw new Error('leads through what is not a folder')
      this.#known.add(folder)
    }
  }

  /** A folder's mode is set at the end: it may forbid what is still to be written into it. */
  remember(folder: string, mode: number): void {
    if (mode !== 0 && folder !== this.root) this.#modes.set(folder, mode)
  }

  finish(): void {
    for (const [folder, mode] of this.#modes) fs.chmodSync(folder, mode)
  }
}

function open(file: string): Promise<yauzl.ZipFile> {
  return new Promise((resolve, reject) => {
    yauzl.open(file, { lazyEntries: true, autoClose: false, validateEntrySizes: true }, (error, archive) => {
      if (error === null) resolve(archive)
      else reject(error)
    })
  })
}

/** The entries, one after the other; the library checks their names. */
async function* entriesOf(archive: yauzl.ZipFile): AsyncGenerator<yauzl.Entry> {
  for (;;) {
    const entry = await new Promise<yauzl.Entry | undefined>((resolve, reject) => {
      archive.removeAllListeners()
      // One that comes while an entry is unpacked is seen there too; without a listener it would end the process.
      archive.on('error', () => undefined)
      archive.once('entry', resolve)
      archive.once('end', () => resolve(undefined))
      archive.once('error', reject)
      archive.readEntry()
    })
    if (entry === undefined) return
    yield entry
  }
}

function read(archive: yauzl.ZipFile, entry: yauzl.Entry): Promise<Readable> {
  return new Promise((resolve, reject) => {
    archive.openReadStream(entry, (error, stream) => {
      if (error === null) resolve(stream)
      else reject(error)
    })
  })
}
