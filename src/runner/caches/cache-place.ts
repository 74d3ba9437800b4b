/** What the stages ask of a place for caches. */
import type { Readable } from 'node:stream'

/** Where the archives of caches are kept between jobs. What is kept may be gone at any time. */
export interface CachePlace {
  /**
   * Fetches the archive of a key into a file.
   * @returns false if there is none; rejects if it cannot be had.
   */
  fetch(key: string, file: string): Promise<boolean>
  /** Keeps an archive under its key; a failure of it leaves the older one. The stream is made anew for each try. */
  save(key: string, archive: () => Readable): Promise<void>
}
