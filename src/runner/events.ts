/** What a runner tells the program that started it. */
import type { QueueFigures } from './job/payload.js'
import type { JobReport } from './job/report.js'

/** What a runner tells its owner: the CLI prints some of it, tests wait for it. */
export type RunnerEvent =
  | { type: 'connected'; node: string }
  | { type: 'disconnected'; reason: string; retryInMs: number }
  | { type: 'job.accepted'; jobId: number; fence: number; name: string; queue: QueueFigures }
  | { type: 'job.rejected'; jobId: number; fence: number; reason: string }
  | { type: 'job.started'; jobId: number; fence: number; facts: Record<string, string> }
  | { type: 'job.canceling'; jobId: number; fence: number; mode: 'graceful' | 'force' }
  | { type: 'job.finished'; jobId: number; fence: number; report: JobReport }
  /** The coordinator has the final report; `status` is the job's status there, if it said so. */
  | { type: 'job.reported'; jobId: number; fence: number; outcome: 'applied' | 'duplicate' | 'fenced'; status: string }
  /** The lease is not ours (any more): the job is stopped and forgotten. */
  | { type: 'job.abandoned'; jobId: number; fence: number; reason: string }
  | { type: 'draining' }
  | { type: 'closed' }

/** A request of GitLab's runner API that has been sent; `answer` when it is over. */
export interface RunnerRequest {
  endpoint: 'request_job' | 'update_job' | 'patch_trace'
  method: string
  /** Undefined: it is on its way from now on. `status` 0: no answer came. */
  answer?: { status: number; seconds: number; tries: number }
}

/** The part of pino's interface that the runner writes its own log through. */
export interface RunnerLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
