/** `PUT /jobs/:id`: a sign of life, or the final word on a job. */
import type { FinalReport } from '../../core/lease.js'
import { type Params, wrongParameter } from '../../http/params.js'

export type JobUpdate = { state: 'pending' | 'running' } | { state: 'success' | 'failed'; report: FinalReport }

const states = ['pending', 'running', 'success', 'failed'] as const
const largestInt32 = 2 ** 31 - 1

/** Throws `invalid` for a state that is missing or not known, and for an exit code that is no 32-bit number. */
export function fromJobUpdate(params: Params): JobUpdate {
  const state = params.choice('state', states)
  if (state === undefined) throw wrongParameter('state', 'is missing')
  const exitCode = params.integer('exit_code', { min: -largestInt32 - 1, max: largestInt32 })
  const failureReason = params.text('failure_reason', { max: 255 })
  const log = logOf(params)
  if (state === 'pending' || state === 'running') return { state }
  return {
    state,
    report: {
      state,
      exitCode: exitCode ?? null,
      failureReason: failureReason || null,
      message: null,
      logLength: log.length,
      logCrc32: log.crc32,
    },
  }
}

/** `output` tells length and CRC-32 of the whole log; a length of zero is left out by the runner. */
function logOf(params: Params): { length: number | null; crc32: number | null } {
  const output = params.map('output')
  const checksum = output?.text('checksum') ?? params.text('checksum')
  const bytes = output?.integer('bytesize', { min: 0 })
  const crc32 = /^crc32:([0-9a-f]{8})$/.exec(checksum ?? '')?.[1]
  return {
    length: bytes ?? (output?.has('checksum') ? 0 : null),
    crc32: crc32 === undefined ? null : Number.parseInt(crc32, 16),
  }
}
