/** Archives that strangers have made by hand: bounded in entries, bytes and time, and read once. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Artifact } from '../../../src/core/artifact.js'
import { ArchiveReader } from '../../../src/core/blobs/archive-reader.js'
import type { BlobRange } from '../../../src/core/blobs/blob-store.js'
import { DiskBlobs } from '../../../src/core/blobs/disk-blobs.js'
import { zipLimits } from '../../../src/core/blobs/zip-directory.js'
import { zipOf } from '../../shim/support/zip.js'

/** Says how often it was read. */
class CountedBlobs extends DiskBlobs {
  reads = 0

  override open(location: string, range?: BlobRange): Readable {
    this.reads++
    return super.open(location, range)
  }
}

let folder: string
let files: CountedBlobs
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'signalbox-archives-'))
  files = new CountedBlobs(folder)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function archiveOf(zip: Buffer): Promise<Artifact> {
  const { location, sizeBytes } = await files.store(Readable.from([zip]), zip.length)
  return { location, sizeBytes, format: 'zip', filename: 'a.zip' } as Artifact
}

interface Made {
  name: string
  extra?: Buffer
  comment?: Buffer
}

/** A zip of empty files, with its 64-bit record: nothing is checked here. */
function zipMadeByHand(entries: readonly Made[]): Buffer {
  const none = Buffer.alloc(0)
  const records = entries.flatMap(({ name, extra = none, comment = none }) => {
    const header = Buffer.alloc(46)
    header.writeUInt32LE(0x02014b50)
    header.writeUInt16LE(Buffer.byteLength(name), 28)
    header.writeUInt16LE(extra.length, 30)
    header.writeUInt16LE(comment.length, 32)
    return [header, Buffer.from(name), extra, comment]
  })
  const directory = Buffer.concat(records)
  const wide = Buffer.alloc(56)
  wide.writeUInt32LE(0x06064b50)
  wide.writeBigUInt64LE(BigInt(entries.length), 32)
  wide.writeBigUInt64LE(BigInt(directory.length), 40)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50)
  locator.writeBigUInt64LE(BigInt(directory.length), 8)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  return Buffer.concat([directory, wide, locator, end])
}

const all = { path: '', recursive: true, offset: 0, limit: 100 }
const many = (count: number, name: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => ({ name: name(i) }))

describe('reading archives', () => {
  it('reads the directory of an archive once, for lists and files', async () => {
    const archive = await archiveOf(await zipOf({ 'b/c/d.txt': 'deep', 'a.txt': 'a', 'b/e.txt': 'e' }))
    const reader = new ArchiveReader(files)
    const before = files.reads
    const paths = async (options: object) => {
      const listed = await reader.list(archive, { ...all, ...options })
      return typeof listed === 'object' ? [listed.total, ...listed.entries.map((one) => one.path)] : listed
    }
    expect(await paths({})).toEqual([5, 'b/', 'b/c/', 'a.txt', 'b/c/d.txt', 'b/e.txt'])
    expect(await paths({ recursive: false })).toEqual([2, 'b/', 'a.txt'])
    expect(await paths({ path: 'b', recursive: false })).toEqual([2, 'b/c/', 'b/e.txt'])
    expect(await paths({ path: 'b/', offset: 1, limit: 1 })).toEqual([3, 'b/c/d.txt'])
    expect(await paths({ path: 'a.txt' })).toBeUndefined()
    const again = files.reads
    expect(again - before).toBe(2)
    expect(await text((await reader.open(archive, 'b/c/d.txt'))!.body)).toBe('deep')
    expect(await reader.open(archive, 'b/c')).toBeUndefined()
    // Its local header and its bytes.
    expect(files.reads - again).toBe(2)
  })

  it('lists as many entries as it says, in turns, and no more', async () => {
    const reader = new ArchiveReader(files)
    const most = await archiveOf(zipMadeByHand(many(zipLimits.entries - 1, (i) => `out/${i * 7919}`)))
    let turns = 0
    const ticking = setInterval(() => turns++, 0)
    const listed = await reader.list(most, { ...all, limit: 2 })
    clearInterval(ticking)
    expect(listed).toMatchObject({ total: zipLimits.entries, entries: [{ path: 'out/' }, { path: 'out/0' }] })
    expect(turns).toBeGreaterThan(20)
    const more = await archiveOf(zipMadeByHand(many(150_000, (i) => `${i}`)))
    expect(await reader.list(more, all)).toBe('unreadable')
  })

  it.each<[string, () => Made[]]>([
    ['paths that stand for a thousand directories each', () => many(5000, (i) => `${i}/${'a/'.repeat(1000)}f`)],
    [
      'names whose checksum is asked for again and again',
      () => many(40, (i) => `${'x'.repeat(4000)}${i}`).map((one) => ({ ...one, extra: manyNames() })),
    ],
    ['names of 64 KiB', () => many(400, (i) => `${'y'.repeat(65_000)}${i}`)],
    ['comments of 64 KiB', () => many(400, (i) => `${i}`).map((one) => ({ ...one, comment: randomBytes(65_535) }))],
    ['the same path again and again', () => many(30_000, () => 'same/path/each/time')],
  ])('bounds what is done for %s', async (_what, made) => {
    const archive = await archiveOf(zipMadeByHand(made()))
    const started = process.cpuUsage()
    await new ArchiveReader(files).list(archive, all)
    const { user, system } = process.cpuUsage(started)
    // Seconds and minutes where nothing is bounded.
    expect((user + system) / 1e6).toBeLessThan(2)
  })

  it('ends when nobody waits any more, and lets the next one in', async () => {
    const reader = new ArchiveReader(files)
    const archive = await archiveOf(zipMadeByHand(many(20_000, (i) => `${i}`)))
    const gone = new Error('gone')
    const asked = Array.from({ length: 5 }, () => {
      const left = new AbortController()
      const listed = reader.list(archive, all, left.signal)
      left.abort(gone)
      return listed
    })
    expect((await Promise.allSettled(asked)).map((one) => one.status === 'rejected' && one.reason)).toEqual(
      asked.map(() => gone),
    )
    expect(await reader.list(archive, all)).toMatchObject({ total: 20_000 })
  })
})

/** A field of 64 KiB with thousands of names in it, of which each claims to be the right one if its checksum is. */
function manyNames(): Buffer {
  const one = Buffer.alloc(10)
  one.writeUInt16LE(0x7075)
  one.writeUInt16LE(6, 2)
  one.writeUInt8(1, 4)
  return Buffer.concat(Array.from({ length: 6000 }, () => one))
}
