/** What the outside has been told, and what it may therefore rely on; kept apart from the coordinator, over all crashes. */
import type { JobStatus } from '../core/lifecycle/job-machine.js'

export interface Promised {
  jobId: number
  fence: number
}

/** What is looked at of a payload. */
export interface Payload {
  job_info: { id: number; pipeline_id: number; project_id: number }
  git_info: { sha: string }
  variables: { key: string; value: string }[]
}

export class Oracle {
  /** Pipelines whose making was acknowledged. */
  readonly pipelines = new Set<number>()
  /** Final statuses that were acknowledged. */
  readonly finals = new Map<number, JobStatus>()
  /** Log bytes that were acknowledged, by job. */
  readonly logs = new Map<number, number>()
  /** To which system an offer went, by `JOB.FENCE`. */
  readonly owners = new Map<string, string>()
  /** Job tokens that were given out. */
  readonly tokens: (Promised & { token: string })[] = []
  /** When a lease was last known to be renewed, in monotonic milliseconds, by `JOB.FENCE`. */
  readonly renewed = new Map<string, number>()
  /** Answers to final reports, by `JOB.FENCE` and what was reported. */
  readonly reports = new Map<string, string>()

  /** When a job was first seen, in monotonic milliseconds, and in which life of the coordinator. */
  readonly born = new Map<number, { at: number; life: number }>()

  /** Payloads that were handed out and that nobody has looked at yet. */
  readonly payloads: (Promised & { payload: Payload })[] = []

  offered(offer: Promised, systemId: string, payload: Uint8Array): void {
    const { jobId, fence } = offer
    this.owners.set(nameOf(offer), systemId)
    this.payloads.push({ jobId, fence, payload: JSON.parse(Buffer.from(payload).toString('utf8')) })
  }

  logAcknowledged(jobId: number, length: number): void {
    this.logs.set(jobId, Math.max(length, this.logs.get(jobId) ?? 0))
  }
}

export const nameOf = ({ jobId, fence }: Promised): string => `${jobId}.${fence}`

/** Bytes `from` … `to` of the log that the holder of a lease writes: every byte tells its place and its writer. */
export function logOf(lease: Promised, from: number, to: number): Buffer {
  const unit = `${nameOf(lease)};`
  const text = unit.repeat(Math.ceil(to / unit.length) + 1)
  return Buffer.from(text.slice(from, to))
}
