/**
 * Looks into the zips of jobs' artifacts without unpacking them. The directory of an archive is read once and kept, at
 * most two are read at once, and of an entry nothing is read but its own bytes.
 */
import { once } from 'node:events'
import { pipeline, Readable, Transform } from 'node:stream'
import { crc32, createInflateRaw } from 'node:zlib'
import type { Artifact } from '../artifact.js'
import { BoundedCache } from '../bounded-cache.js'
import { SignalboxError } from '../errors.js'
import type { BlobStore } from './blob-store.js'
import { bytesOf, readZipDirectory, type ZipDirectory, type ZipEntry } from './zip-directory.js'

/** An entry of an archive, as people browse it. */
export interface ArchiveEntry {
  /** The whole path; a directory's ends with a slash. */
  path: string
  type: 'file' | 'directory'
  /** Unpacked, in bytes; 0 for directories. */
  size: number
  /** Unix mode in octal digits, such as `100644`. */
  mode: string
}

const mebibyte = 1024 * 1024
/** A larger one is had with the whole archive only: a few bytes may stand for all of the disk. */
const largestEntryBytes = 1024 ** 3
const atOnce = 2

/** Reads directories of archives, two at once, and keeps 128 MiB of what it has read. */
export class ArchiveReader {
  readonly #files: BlobStore
  readonly #known = new BoundedCache<{ directory: ZipDirectory | undefined }>(128 * mebibyte)
  readonly #waiting: (() => void)[] = []
  #busy = 0

  constructor(files: BlobStore) {
    this.#files = files
  }

  /**
   * A page of what lies in a directory of the archive (empty: its root), or with `recursive` below it, directories first,
   * and how many there are in all. Directories that only paths tell of are there too. Undefined: the archive has no such
   * directory. `unreadable`: it is no zip, a broken one, or one that is too large to be listed. Rejects with the reason of
   * the signal when that ends it.
   */
  async list(
    archive: Artifact,
    options: { path: string; recursive: boolean; offset: number; limit: number },
    signal?: AbortSignal,
  ): Promise<{ entries: ArchiveEntry[]; total: number } | 'unreadable' | undefined> {
    const directory = await this.#directory(archive, signal)
    if (!directory) return 'unreadable'
    const base = options.path === '' ? '' : `${options.path.replace(/\/+$/, '')}/`
    const lists = [directory.directories, directory.files].map((rows) => between(rows, base))
    if (base !== '' && lists.every((rows) => rows.length === 0)) return undefined
    const wanted = lists.flat().filter(({ path }) => path !== base && (options.recursive || isDirectlyIn(path, base)))
    const entries = wanted.slice(options.offset, options.offset + options.limit).map(toArchiveEntry)
    return { entries, total: wanted.length }
  }

  /**
   * The unpacked bytes of a regular file in the archive and their number; undefined if there is none of this path, or it
   * cannot be unpacked. What is wrong about it within its first bytes is told at once: `invalid` with the refinement
   * `unprocessable`. Later the stream fails; the last bytes of one that has others than the archive says are never given.
   */
  async open(
    archive: Artifact,
    path: string,
    signal?: AbortSignal,
  ): Promise<{ size: number; body: Readable } | undefined> {
    const files = (await this.#directory(archive, signal))?.files ?? []
    const entry = files[lowerBound(files, path)]
    if (entry?.path !== path || !canBeUnpacked(entry)) return undefined
    const start = await dataStart(this.#files, archive, entry)
    if (start === undefined) return undefined
    const body = this.#unpacked(archive, entry, start)
    // Waits for its first bytes, its end, or what is wrong with it.
    await once(body, 'readable')
    return { size: entry.size, body }
  }

  /** The same as text, of at most `limitBytes`; undefined also for what is longer or broken. */
  async text(archive: Artifact, path: string, limitBytes: number): Promise<string | undefined> {
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      const entry = await this.open(archive, path)
      if (!entry) return undefined
      for await (const chunk of entry.body as AsyncIterable<Buffer>) {
        bytes += chunk.length
        // Leaving the loop closes the stream.
        if (bytes > limitBytes) return undefined
        chunks.push(chunk)
      }
    } catch {
      return undefined
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  /** Undefined: it has none that can be read. */
  async #directory(archive: Artifact, signal?: AbortSignal): Promise<ZipDirectory | undefined> {
    if (archive.format !== 'zip') return undefined
    const known = this.#known.get(archive.location)
    if (known) return known.directory
    if (this.#busy >= atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#busy++
    try {
      signal?.throwIfAborted()
      // Whoever waited may have waited for this very one.
      const meanwhile = this.#known.get(archive.location)
      if (meanwhile) return meanwhile.directory
      const directory = await readZipDirectory(this.#files, archive, signal)
      this.#known.set(archive.location, { directory }, directory?.weight ?? 100)
      return directory
    } finally {
      this.#busy--
      this.#waiting.shift()?.()
    }
  }

  #unpacked(archive: Artifact, entry: ZipEntry, start: number): Readable {
    const { method, packedSize } = entry
    const packed =
      packedSize === 0 ? Readable.from([]) : this.#files.open(archive.location, { start, end: start + packedSize - 1 })
    const checked = checkedAgainst(entry)
    const inflate = method === deflated ? createInflateRaw() : undefined
    // Not what the store fails with, but what was uploaded.
    inflate?.once('error', () => checked.destroy(brokenEntry(entry.path)))
    // A fault or an early end of one ends them all; whoever reads sees it.
    pipeline([packed, ...(inflate ? [inflate] : []), checked], () => undefined)
    return checked
  }
}

const linkType = 0o120000
const typeMask = 0o170000
const stored = 0
const deflated = 8

function canBeUnpacked({ method, encrypted, mode, size }: ZipEntry): boolean {
  const isLink = (mode & typeMask) === linkType
  return (method === stored || method === deflated) && !encrypted && !isLink && size <= largestEntryBytes
}

/** Behind its local header, which has fields of its own. Undefined: there is none, or it does not lie within the archive. */
async function dataStart(files: BlobStore, archive: Artifact, entry: ZipEntry): Promise<number | undefined> {
  if (entry.offset + 30 + entry.packedSize > archive.sizeBytes) return undefined
  const header = await bytesOf(files, archive, entry.offset, entry.offset + 30)
  if (header.readUInt32LE(0) !== 0x04034b50) return undefined
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  return start + entry.packedSize > archive.sizeBytes ? undefined : start
}

function brokenEntry(path: string): SignalboxError {
  const message = `${JSON.stringify(path)} cannot be unpacked: the archive is broken`
  return new SignalboxError('invalid', message, { details: { refinement: 'unprocessable' } })
}

/**
 * Lets through the bytes of an entry, and fails where they are not what the directory of the zip says, which may lie. The
 * newest piece is kept back: it goes out when the checksum of all is right.
 */
function checkedAgainst(entry: ZipEntry): Transform {
  let left = entry.size
  let sum = 0
  let kept: Buffer | undefined
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      left -= chunk.length
      if (left < 0) return done(brokenEntry(entry.path))
      sum = crc32(chunk, sum)
      const before = kept
      kept = chunk
      done(null, before)
    },
    flush: (done) => (left === 0 && sum === entry.crc32 ? done(null, kept) : done(brokenEntry(entry.path))),
  })
}

/** The first row that does not come before this path. */
function lowerBound(rows: readonly ZipEntry[], path: string): number {
  let [from, to] = [0, rows.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (rows[middle]!.path < path) from = middle + 1
    else to = middle
  }
  return from
}

/** The rows whose paths begin with `base`, which is empty or ends with a slash: they stand together. */
function between(rows: readonly ZipEntry[], base: string): readonly ZipEntry[] {
  if (base === '') return rows
  const afterBase = `${base.slice(0, -1)}0`
  return rows.slice(lowerBound(rows, base), lowerBound(rows, afterBase))
}

function isDirectlyIn(path: string, base: string): boolean {
  const slash = path.indexOf('/', base.length)
  return slash < 0 || slash === path.length - 1
}

function toArchiveEntry({ path, mode, size }: ZipEntry): ArchiveEntry {
  const type = path.endsWith('/') ? 'directory' : 'file'
  const standard = type === 'directory' ? 0o40755 : 0o100644
  return { path, type, size, mode: (mode || standard).toString(8).padStart(6, '0') }
}
