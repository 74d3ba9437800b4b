/**
 * Errors as GitLab's Job Router answers them. A GitLab Runner stops asking for an hour after three answers other than OK
 * and UNAVAILABLE (gitlab-runner router/client.go), so these are kept for what asking again will not mend.
 */
import grpc from '@grpc/grpc-js'
import type { ErrorCode, SignalboxError } from '../../core/errors.js'

const { status } = grpc

const statusByCode = {
  invalid: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  not_found: status.NOT_FOUND,
  conflict: status.UNAVAILABLE,
  fenced: status.FAILED_PRECONDITION,
  range_mismatch: status.OUT_OF_RANGE,
  too_large: status.INVALID_ARGUMENT,
  unsupported_media_type: status.INVALID_ARGUMENT,
  rate_limited: status.UNAVAILABLE,
  unavailable: status.UNAVAILABLE,
  internal: status.UNAVAILABLE,
} as const satisfies Record<ErrorCode, grpc.status>

/** The status that a call ends with. What went wrong inside is not told. */
export function toStatus(error: SignalboxError): { code: grpc.status; details: string } {
  const ours = error.code === 'internal' || error.code === 'unavailable'
  return { code: statusByCode[error.code], details: ours ? 'try again' : error.message }
}
