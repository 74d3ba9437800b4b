/** Logs of jobs: what their rows say of the bytes, which are files. */

/** What counts of a job's log. Flags are 0 or 1. */
export interface TraceRow {
  jobId: number
  /** Committed length in bytes: what lies beyond in the file was never acknowledged. */
  length: number
  /** CRC-32 of those bytes as received. */
  crc32: number
  node: string
  /** The job was finished before all of its log had come. */
  incomplete: number
  /** The runner's length or CRC-32 was another. */
  mismatch: number
  /** The runner has said that it holds what a debugging shell prints, secrets included. */
  debug: number
  updatedAt: number
}
