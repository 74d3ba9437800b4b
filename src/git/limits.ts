/** What one request, and all of them together, may take. */
export interface GitHttpLimits {
  /** Git processes (with their children) at once. */
  atOnce: number
  /** Requests that wait for one, and for how long; the others get 503. */
  queue: number
  queueWaitMs: number
  /** Largest request of a fetch after unpacking; git's own limit is the same. */
  fetchBytes: number
  /** All requests of fetches that are in memory at a time. */
  heldBytes: number
  /** Largest push after unpacking. */
  pushBytes: number
  /** Milliseconds after which a request on which nothing moves is ended. */
  idleMs: number
  /** And any other after this. */
  totalMs: number
  /** How long the answer to a push waits for its pipelines. */
  pipelinesWaitMs: number
}

const mebibyte = 1024 * 1024

export const defaultGitHttpLimits: GitHttpLimits = {
  atOnce: 8,
  queue: 64,
  queueWaitMs: 20_000,
  fetchBytes: 10 * mebibyte,
  heldBytes: 64 * mebibyte,
  pushBytes: 1024 * mebibyte,
  idleMs: 50_000,
  totalMs: 3_600_000,
  pipelinesWaitMs: 10_000,
}
