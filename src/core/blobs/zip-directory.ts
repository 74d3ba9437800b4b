/**
 * The directory at the end of a zip (PKWARE APPNOTE §4.3.12–16), read by a range of bytes and in turns. Whoever uploads an
 * archive may have made it by hand: its bytes, its entries and the paths that they lead to are bounded.
 */
import { buffer } from 'node:stream/consumers'
import { getFileNameLowLevel, validateFileName } from 'yauzl'
import type { Artifact } from '../artifact.js'
import { SignalboxError } from '../errors.js'
import { sortedInTurns, Turns } from '../turns.js'
import type { BlobStore } from './blob-store.js'

/** An entry of the directory of a zip. */
export interface ZipEntry {
  /** The whole path; a directory's ends with a slash. */
  path: string
  /** Unix mode; 0: the zip does not say. */
  mode: number
  /** Unpacked, in bytes, as the directory has it. */
  size: number
  packedSize: number
  method: number
  encrypted: boolean
  /** Of what is unpacked. */
  crc32: number
  /** Where its local header begins. */
  offset: number
}

/** All entries, and directories that only paths tell of: each path once, in the order of code units. */
export interface ZipDirectory {
  directories: readonly ZipEntry[]
  files: readonly ZipEntry[]
  /** About how many bytes of memory it takes. */
  weight: number
}

/** What a directory may come to before it is refused: archives are made by jobs, which run anything. */
export const zipLimits = {
  entries: 100_000,
  /** Of the directory, packed as it is. */
  bytes: 32 * 1024 * 1024,
  /** As Linux has it for files (`PATH_MAX`). */
  path: 4096,
  /** Of all paths together, in UTF-16 units: a path of a thousand levels stands for a thousand directories. */
  text: 8 * 1024 * 1024,
}

/** What is wrong with the archive, not with the place where it lies. */
class WrongZip extends Error {}

/**
 * The directory of an archive; undefined: it is no zip, a broken one, or larger than the limits. Rejects when its bytes
 * cannot be had, and with the reason of the signal.
 */
export async function readZipDirectory(
  files: BlobStore,
  archive: Pick<Artifact, 'location' | 'sizeBytes'>,
  signal?: AbortSignal,
): Promise<ZipDirectory | undefined> {
  try {
    const directory = await directoryBytes((start, end) => bytesOf(files, archive, start, end), archive.sizeBytes)
    return await parse(directory.bytes, directory.count, new Turns(signal))
  } catch (error) {
    if (error instanceof WrongZip || error instanceof RangeError) return undefined
    throw error
  }
}

/** Bytes of the archive from `start` up to `end`, which is not included. */
export async function bytesOf(
  files: BlobStore,
  archive: Pick<Artifact, 'location' | 'sizeBytes'>,
  start: number,
  end: number,
): Promise<Buffer> {
  if (!(start >= 0 && start < end && end <= archive.sizeBytes)) throw new WrongZip('beyond the archive')
  try {
    return await buffer(files.open(archive.location, { start, end: end - 1 }))
  } catch (error) {
    throw SignalboxError.from(error)
  }
}

const tailBytes = 22 + 0xffff + 20

/** Follows the record at the end of the archive, in its 64-bit form where there is one. */
async function directoryBytes(read: (start: number, end: number) => Promise<Buffer>, sizeBytes: number) {
  const tailStart = Math.max(0, sizeBytes - tailBytes)
  const tail = await read(tailStart, sizeBytes)
  const at = findEnd(tail)
  let [count, size, start] = [tail.readUInt16LE(at + 10), tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16)]
  if (at >= 20 && tail.readUInt32LE(at - 20) === 0x07064b50) {
    const wide = Number(tail.readBigUInt64LE(at - 12))
    const record = await read(wide, wide + 56)
    if (record.readUInt32LE(0) !== 0x06064b50) throw new WrongZip('no zip64 record')
    ;[count, size, start] = [32, 40, 48].map((i) => Number(record.readBigUInt64LE(i))) as [number, number, number]
  }
  if (count > zipLimits.entries || size > zipLimits.bytes) throw new WrongZip('too large')
  return { count, bytes: count === 0 ? Buffer.alloc(0) : await read(start, start + size) }
}

/** Where the record at the end begins: its comment must reach to the last byte. */
function findEnd(tail: Buffer): number {
  const signature = Buffer.from('PK\x05\x06', 'latin1')
  const at = tail.lastIndexOf(signature, tail.length - 22)
  if (at < 0 || at + 22 + tail.readUInt16LE(at + 20) !== tail.length) throw new WrongZip('no record at the end')
  return at
}

async function parse(bytes: Buffer, count: number, turns: Turns): Promise<ZipDirectory> {
  const found = new FoundPaths()
  for (let i = 0, at = 0; i < count; i++) {
    const [entry, next] = entryAt(bytes, at)
    const levels = entry ? found.add(entry) : 0
    // Extra fields are walked over, and names are read: both are as long as the entry. Each directory above it is a row.
    if (turns.spend(1 + levels + (next - at) / 64)) await turns.rest()
    at = next
  }
  const isBefore = (a: ZipEntry, b: ZipEntry) => a.path < b.path
  const rows = await sortedInTurns([...found.byPath.values()], isBefore, turns)
  return {
    directories: rows.filter(({ path }) => path.endsWith('/')),
    files: rows.filter(({ path }) => !path.endsWith('/')),
    weight: found.text + 120 * rows.length,
  }
}

/** Of entries of one path the first counts. */
class FoundPaths {
  readonly byPath = new Map<string, ZipEntry>()
  text = 0

  /** Returns how many directories came with it. */
  add(entry: ZipEntry): number {
    const known = this.byPath.get(entry.path)
    if (known && !isImplied(known)) return 0
    this.#put(entry, known === undefined)
    let levels = 0
    // Upwards until one is known: what it lies in is known, too.
    for (let path = parentOf(entry.path); path !== '' && !this.byPath.has(path); path = parentOf(path)) {
      this.#put({ ...implied, path }, true)
      levels++
    }
    return levels
  }

  #put(entry: ZipEntry, isNew: boolean): void {
    this.byPath.set(entry.path, entry)
    if (isNew) this.text += entry.path.length
    if (this.byPath.size > zipLimits.entries || this.text > zipLimits.text) throw new WrongZip('too large')
  }
}

const implied = { mode: 0, size: 0, packedSize: 0, method: 0, encrypted: false, crc32: 0, offset: -1 }

function isImplied(entry: ZipEntry): boolean {
  return entry.offset < 0
}

/** The directory that a path lies in, with its slash; empty: the root. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/', path.length - 2) + 1)
}

/** The entry that begins here, unless its path is too long to be listed, and where the next one begins. */
function entryAt(bytes: Buffer, at: number): [ZipEntry | undefined, number] {
  if (bytes.readUInt32LE(at) !== 0x02014b50) throw new WrongZip('no entry')
  const flags = bytes.readUInt16LE(at + 8)
  const method = bytes.readUInt16LE(at + 10)
  const nameEnd = at + 46 + bytes.readUInt16LE(at + 28)
  const extraEnd = nameEnd + bytes.readUInt16LE(at + 30)
  const next = extraEnd + bytes.readUInt16LE(at + 32)
  if (next > bytes.length) throw new WrongZip('cut off')
  const extra = bytes.subarray(nameEnd, extraEnd)
  const path = pathOf(flags, bytes.subarray(at + 46, nameEnd), extra)
  if (path === undefined) return [undefined, next]
  const wide = wideNumbers(extra)
  const size = wide(bytes.readUInt32LE(at + 24))
  const packedSize = wide(bytes.readUInt32LE(at + 20))
  const offset = wide(bytes.readUInt32LE(at + 42))
  const encrypted = (flags & 1) !== 0
  if (method === 0 && !encrypted && size !== packedSize) throw new WrongZip('sizes differ')
  const mode = bytes.readUInt16LE(at + 40)
  const crc32 = bytes.readUInt32LE(at + 16)
  return [{ path, mode, size: path.endsWith('/') ? 0 : size, packedSize, method, encrypted, crc32, offset }, next]
}

const unicodePath = 0x7075
const zip64 = 0x0001

/** Undefined: it is longer than any path. Of the fields that give another name only the first is looked at, as each costs a checksum. */
function pathOf(flags: number, name: Buffer, extra: Buffer): string | undefined {
  if (name.length > 4 * zipLimits.path) return undefined
  const field = extraField(extra, unicodePath)
  const path = getFileNameLowLevel(flags, name, field ? [{ id: unicodePath, data: field }] : [], false)
  if (path.length > zipLimits.path) return undefined
  const fault = path === '' ? 'no path' : validateFileName(path)
  if (fault) throw new WrongZip(fault)
  return path
}

/** Gives each number that says "see the field" from the field, in the order in which it is asked. */
function wideNumbers(extra: Buffer): (narrow: number) => number {
  const field = extraField(extra, zip64)
  let at = 0
  return (narrow) => {
    if (narrow !== 0xffffffff || !field) return narrow
    at += 8
    return Number(field.readBigUInt64LE(at - 8))
  }
}

/** The first field of this kind. */
function extraField(extra: Buffer, id: number): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (end > extra.length) return undefined
    if (extra.readUInt16LE(at) === id) return extra.subarray(at + 4, end)
    at = end
  }
  return undefined
}
