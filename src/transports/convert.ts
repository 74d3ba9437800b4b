/** Between the messages of the stream and the core's values. Pure. */
import type { Core } from '../core/core.js'
import type { ErrorCode as CoreErrorCode } from '../core/errors.js'
import { SignalboxError } from '../core/errors.js'
import type { FinalReport, Lease } from '../core/lease.js'
import type { Offer } from '../core/payload/offer.js'
import { legacySystemId, type ManagerInfo } from '../core/runner.js'
import {
  type Cancel,
  CancelMode,
  ErrorCode,
  type Hello,
  JobState,
  type LeaseVerdict,
  type Offer as OfferMessage,
  type StateUpdate,
  Verdict,
  type Welcome,
} from '../gen/signalbox/runner/v1/runner.js'

export const protocolVersion = 1
export const maxMessageBytes = 1024 * 1024
export const maxLogChunkBytes = 64 * 1024

const longestText = 256
const mostFeatures = 100

/** What a manager says of itself. Throws `invalid` for text with control characters, or too much of it. */
export function fromHello(hello: Hello, remoteAddress: string | null): ManagerInfo {
  const text = (field: keyof Hello): string => {
    const value = hello[field] as string
    if (value.length > longestText || /[\u0000-\u001f\u007f]/.test(value)) {
      throw new SignalboxError('invalid', `hello: ${field} is too long or has control characters`)
    }
    return value
  }
  if (hello.features.length > mostFeatures || hello.features.some((name) => !/^[\w.-]{1,64}$/.test(name))) {
    throw new SignalboxError('invalid', 'hello: features are not a list of names')
  }
  if (hello.systemId.length > 64) throw new SignalboxError('invalid', 'hello: system_id is too long')
  return {
    systemId: text('systemId') || legacySystemId,
    name: text('name'),
    version: text('version'),
    revision: text('revision'),
    platform: text('platform'),
    architecture: text('architecture'),
    executor: text('executor'),
    features: [...new Set(hello.features)].sort(),
    ipAddress: remoteAddress,
  }
}

export function fromStateUpdate(update: StateUpdate): FinalReport {
  if (update.state !== JobState.JOB_STATE_SUCCESS && update.state !== JobState.JOB_STATE_FAILED) {
    throw new SignalboxError('invalid', 'state_update: state is not one that a job can end in')
  }
  return {
    state: update.state === JobState.JOB_STATE_SUCCESS ? 'success' : 'failed',
    exitCode: update.exitCode ?? null,
    failureReason: update.failureReason || null,
    message: update.message ? update.message.slice(0, longestMessage) : null,
    logLength: update.logLength,
    logCrc32: update.logCrc32,
  }
}

const longestMessage = 4096

/** `expiresInMs` null: the lease is not this runner's any more, for `reason`. */
export function toLeaseVerdict(
  lease: { jobId: number; fence: number },
  expiresInMs: number | null,
  reason = '',
  more: Partial<LeaseVerdict> = {},
): LeaseVerdict {
  return {
    jobId: lease.jobId,
    fence: lease.fence,
    verdict: expiresInMs === null ? Verdict.VERDICT_ABANDON : Verdict.VERDICT_HELD,
    expiresInMs: expiresInMs ?? 0,
    logOffset: 0,
    reason,
    ...more,
  }
}

/** The answer to a hello. `epoch`: how many streams the manager has had with this node. */
export function toWelcome(
  core: Pick<Core, 'node' | 'settings' | 'externalUrl'>,
  limits: Pick<Welcome, 'pingIntervalMs' | 'logWindowBytes'>,
  given: Pick<Welcome, 'runnerId' | 'epoch' | 'verdicts'>,
): Welcome {
  const { leases } = core.settings
  return {
    ...given,
    protocol: protocolVersion,
    node: core.node,
    pingIntervalMs: limits.pingIntervalMs,
    leaseMs: leases.stream.heldForMs,
    renewEveryMs: leases.renewEveryMs,
    maxMessageBytes,
    maxLogChunkBytes,
    logWindowBytes: limits.logWindowBytes,
    httpUrl: core.externalUrl(),
    protocolFeatures: [],
  }
}

export function toOffer(offer: Offer): OfferMessage {
  const { jobId, fence, payload, projectId, pipelineId, jobName } = offer
  return {
    offerId: keyOf(offer),
    jobId,
    fence,
    acceptWithinMs: offer.acceptWithinMs ?? 0,
    payload,
    projectId,
    pipelineId,
    jobName,
    timeoutMs: offer.timeoutS * 1000,
  }
}

export function cancelOf(lease: Lease, graceMs: number): Cancel {
  return {
    jobId: lease.jobId,
    fence: lease.fence,
    revision: lease.cancelRevision,
    mode: lease.cancelMode === 'force' ? CancelMode.CANCEL_MODE_FORCE : CancelMode.CANCEL_MODE_GRACEFUL,
    graceMs,
  }
}

const errorCodes: Record<CoreErrorCode, ErrorCode> = {
  invalid: ErrorCode.ERROR_CODE_INVALID,
  unauthenticated: ErrorCode.ERROR_CODE_UNAUTHENTICATED,
  forbidden: ErrorCode.ERROR_CODE_UNAUTHENTICATED,
  not_found: ErrorCode.ERROR_CODE_FENCED,
  conflict: ErrorCode.ERROR_CODE_INVALID,
  fenced: ErrorCode.ERROR_CODE_FENCED,
  range_mismatch: ErrorCode.ERROR_CODE_INVALID,
  too_large: ErrorCode.ERROR_CODE_INVALID,
  unsupported_media_type: ErrorCode.ERROR_CODE_INVALID,
  rate_limited: ErrorCode.ERROR_CODE_UNAVAILABLE,
  unavailable: ErrorCode.ERROR_CODE_UNAVAILABLE,
  internal: ErrorCode.ERROR_CODE_INTERNAL,
}

/** The stream's code for an error of the core. */
export function toErrorCode(code: CoreErrorCode): ErrorCode {
  return errorCodes[code]
}

/** What a lease is filed under. */
export function keyOf(lease: { jobId: number; fence: number }): string {
  return `${lease.jobId}.${lease.fence}`
}
