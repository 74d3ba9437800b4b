/** Where the bytes of artifacts and caches lie. Rows name them; what no row names does not count. */
import type { Readable } from 'node:stream'

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
}

/** The two stores of a node. */
export interface BlobRooms {
  artifacts: BlobStore
  caches: BlobStore
}
