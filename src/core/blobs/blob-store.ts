/** Where the bytes of artifacts and caches lie. Rows name them; what no row names does not count. */
import type { Readable } from 'node:stream'
import { isUncertain } from '../errors.js'

/** Bytes that are durable; they count once a row names their place. */
export interface StoredBlob {
  /** What `open` and `remove` take. */
  location: string
  sizeBytes: number
  /** Hex. */
  sha256: string
}

/** A range of bytes, first and last included. */
export interface BlobRange {
  start: number
  end: number
}

/** Where bytes are kept: a local disk, or S3. */
export interface BlobStore {
  /**
   * Takes in a stream and keeps it durably. Throws `too_large` past `limitBytes`, and what the stream fails with; nothing
   * that counts is left then.
   */
  store(source: Readable, limitBytes: number): Promise<StoredBlob>
  /** The bytes, or a range of them. The stream fails where there are none. */
  open(location: string, range?: BlobRange): Readable
  exists(location: string): Promise<boolean>
  /** An address where the bytes can be had for some minutes without a token; undefined: there is none for these. */
  link?(location: string, filename: string): Promise<string | undefined>
  /** Safe to repeat. */
  remove(location: string): Promise<void>
  /** Removes what uploads have left that a stop of the process has cut off. Called before the doors open. */
  removeUnfinished(): Promise<void>
  /** Every location whose row, if it ever gets one, has it by now. */
  settled(): AsyncIterable<string>
}

/** How long after its bytes a row may still be committed, in milliseconds. */
export const rowWithinMs = 3_600_000

/**
 * Writes the row of a blob that has just been stored; `write` gives the location that counts now. Where that is another,
 * or the write has failed, the blob is removed again. What became of a write may be uncertain: then the blob stays, and
 * the sweep over blobs without a row takes it, if it has none. Throws as `write` does.
 */
export async function keepBlob<T extends { location: string }>(
  blobs: BlobStore,
  blob: StoredBlob,
  write: () => Promise<T>,
): Promise<T> {
  try {
    const kept = await write()
    if (kept.location !== blob.location) await blobs.remove(blob.location)
    return kept
  } catch (error) {
    if (!isUncertain(error)) await blobs.remove(blob.location)
    throw error
  }
}

/** The two stores of a node. */
export interface BlobRooms {
  artifacts: BlobStore
  caches: BlobStore
}
