/** Caches of jobs: archives that are found again by a key, and may be gone at any time. */
import { SignalboxError } from './errors.js'

export interface Cache {
  id: number
  projectId: number
  key: string
  sizeBytes: number
  /** Hex. */
  sha256: string
  location: string
  createdAt: number
  usedAt: number
}

const longestKey = 1024

/** Throws `invalid` for what cannot be a key. A key is a text to be found again and never a path. */
export function checkCacheKey(key: string): string {
  if (key === '' || Buffer.byteLength(key) > longestKey || /\p{Cc}/u.test(key)) {
    throw new SignalboxError('invalid', `a cache key has 1 to ${longestKey} bytes and no control characters`)
  }
  return key
}

/**
 * Whether jobs of unprotected branches are kept from this key: what they write must not reach a protected one's jobs, and
 * what these have kept is not theirs to see. https://docs.gitlab.com/ci/caching/#cache-key-names
 */
export function isProtectedKey(key: string): boolean {
  return key.endsWith('-protected')
}
