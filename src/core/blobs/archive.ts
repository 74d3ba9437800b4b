/**
 * Looks into the zip of a job's artifacts without unpacking it: the directory at its end is read by ranges, and of an
 * entry nothing but its own bytes.
 */
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import yauzl from 'yauzl'
import type { Artifact } from '../artifact.js'
import { SignalboxError } from '../errors.js'
import type { BlobStore } from './blob-store.js'

export interface ArchiveEntry {
  /** The whole path; a directory's ends with a slash. */
  path: string
  type: 'file' | 'directory'
  /** Unpacked, in bytes; 0 for directories. */
  size: number
  /** Unix mode in octal digits, such as `100644`. */
  mode: string
}

const windowBytes = 128 * 1024
/** A larger one is had with the whole archive only: a few bytes may stand for all of the disk. */
const largestEntryBytes = 1024 ** 3

/**
 * The zip is read from wherever the bytes of artifacts lie. Its directory is asked for in tiny pieces, each of which would
 * be a request to an object store: they are cut out of a window that moves on.
 */
class ArtifactReader extends yauzl.RandomAccessReader {
  #window = { start: 0, bytes: Buffer.alloc(0) }
  /** Why the bytes could not be had. */
  fault: unknown

  constructor(
    private readonly files: BlobStore,
    private readonly archive: Pick<Artifact, 'location' | 'sizeBytes'>,
  ) {
    super()
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return this.files.open(this.archive.location, { start, end: end - 1 })
  }

  override read(
    target: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    void this.#fill(target.subarray(offset, offset + length), position, callback)
  }

  async #fill(
    target: Buffer,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): Promise<void> {
    try {
      await this.#reach(position, target.length)
    } catch (error) {
      this.fault = error
      callback(error as Error)
      return
    }
    const { start, bytes } = this.#window
    callback(null, bytes.copy(target, 0, position - start))
  }

  /** Resolves in a later turn, so that a long directory lets others in. */
  async #reach(position: number, length: number): Promise<void> {
    const { start, bytes } = this.#window
    if (position >= start && position + length <= start + bytes.length) return setImmediate()
    const { location, sizeBytes } = this.archive
    const end = Math.min(sizeBytes, position + Math.max(length, windowBytes)) - 1
    this.#window = { start: position, bytes: await buffer(this.files.open(location, { start: position, end })) }
  }
}

const linkType = 0o120000
const typeMask = 0o170000

/**
 * The unpacked bytes of a regular file in the archive and their number; undefined if there is none of this path, or it
 * cannot be unpacked. The stream fails where the archive is broken.
 */
export async function openEntry(
  files: BlobStore,
  archive: Artifact,
  path: string,
): Promise<{ size: number; body: Readable } | undefined> {
  const zip = await open(files, archive)
  if (!zip) return undefined
  if (zip.entryCount > mostEntries) return undefined
  let found: yauzl.Entry | undefined
  await visit(zip, (one) => {
    if (one.fileName === path) found = one
    return found !== undefined
  })
  const entry = found as yauzl.Entry | undefined
  if (!entry || path.endsWith('/') || !entry.canDecodeFileData() || (modeOf(entry) & typeMask) === linkType) {
    return undefined
  }
  if (entry.uncompressedSize > largestEntryBytes) return undefined
  const body = await new Promise<Readable | undefined>((resolve) => {
    zip.openReadStream(entry, (error, stream) => resolve(error ? undefined : stream))
  })
  return body && { size: entry.uncompressedSize, body }
}

/** The same as text, of at most `limitBytes`; undefined also for what is longer or broken. */
export async function readEntry(
  files: BlobStore,
  archive: Artifact,
  path: string,
  limitBytes: number,
): Promise<string | undefined> {
  const entry = await openEntry(files, archive, path)
  if (!entry) return undefined
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of entry.body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      // The directory of a zip may lie about the size. Leaving the loop closes the stream.
      if (bytes > limitBytes) return undefined
      chunks.push(chunk)
    }
  } catch {
    return undefined
  }
  return Buffer.concat(chunks).toString('utf8')
}

const mostEntries = 100_000
/** As Linux has it for files (`PATH_MAX`); an entry may have sixteen times as much. */
const longestPath = 4096

/**
 * What lies in a directory of the archive (empty: its root), or with `recursive` below it, directories first. Directories
 * that only paths tell of are there too. Undefined: the archive has no such directory. `unreadable`: it is no zip, a broken
 * one, or one that is too large to be listed.
 */
export async function listEntries(
  files: BlobStore,
  archive: Artifact,
  options: { path: string; recursive: boolean },
): Promise<ArchiveEntry[] | 'unreadable' | undefined> {
  const zip = await open(files, archive)
  if (!zip || zip.entryCount > mostEntries) return 'unreadable'
  const base = options.path === '' ? '' : `${options.path.replace(/\/+$/, '')}/`
  const found = new Map<string, ArchiveEntry>()
  let exists = base === ''
  const whole = await visit(zip, (entry) => {
    if (entry.fileName.length > longestPath || !entry.fileName.startsWith(base)) return false
    exists = true
    for (const one of pathsBelow(base, entry, options.recursive)) {
      if (!found.has(one.path) || one.path === entry.fileName) found.set(one.path, one)
    }
    return found.size > mostEntries
  })
  if (!whole || found.size > mostEntries) return 'unreadable'
  if (!exists) return undefined
  const rank = ({ type, path }: ArchiveEntry) => `${type === 'directory' ? 0 : 1}${path}`
  return [...found.values()].sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
}

/** The entry itself, and the directories that lead to it. */
function pathsBelow(base: string, entry: yauzl.Entry, recursive: boolean): ArchiveEntry[] {
  const rest = entry.fileName.slice(base.length)
  const parts = rest.split(/(?<=\/)/).filter((part) => part !== '')
  let path = base
  return (recursive ? parts : parts.slice(0, 1)).map((part) => {
    path += part
    const isSelf = path === entry.fileName
    const mode = isSelf ? modeOf(entry) : 0
    if (path.endsWith('/')) return { path, type: 'directory', size: 0, mode: octal(mode || 0o40755) }
    return { path, type: 'file', size: entry.uncompressedSize, mode: octal(mode || 0o100644) }
  })
}

function octal(mode: number): string {
  return mode.toString(8).padStart(6, '0')
}

function modeOf(entry: yauzl.Entry): number {
  return entry.externalFileAttributes >>> 16
}

/** Undefined: it is no zip. Rejects when its bytes cannot be had. */
function open(files: BlobStore, archive: Artifact): Promise<yauzl.ZipFile | undefined> {
  if (archive.format !== 'zip') return Promise.resolve(undefined)
  const reader = new ArtifactReader(files, archive)
  return new Promise((resolve, reject) => {
    yauzl.fromRandomAccessReader(reader, archive.sizeBytes, { lazyEntries: true }, (error, zip) => {
      if (reader.fault === undefined) resolve(error ? undefined : zip)
      else reject(SignalboxError.from(reader.fault))
    })
  })
}

/** Shows the entries in order, until one is what was looked for. Gives whether the directory could be read so far. */
function visit(zip: yauzl.ZipFile, isLast: (entry: yauzl.Entry) => boolean): Promise<boolean> {
  return new Promise((resolve) => {
    zip.on('error', () => resolve(false))
    zip.on('end', () => resolve(true))
    zip.on('entry', (entry: yauzl.Entry) => {
      if (isLast(entry)) resolve(true)
      else zip.readEntry()
    })
    zip.readEntry()
  })
}
