/** Jobs as people see them: a row of what is shown in lists and followed live. */
import type { Reader } from './write.js'

/** A job in the shape of our own API, which is what people's commands read. */
export interface JobView {
  id: number
  name: string
  stage: string
  status: string
  allow_failure: boolean
  failure_reason: string | null
  failure_message: string | null
  /** Lines of its log that show why it failed. */
  failure_lines: string[]
  /** Description of the runner that has or had the job. */
  runner: string | null
  /** How the runner was reached: grpc, websocket, poll; null before a lease. */
  transport: string | null
  /** Milliseconds since 1970. */
  created_at: number
  queued_at: number | null
  started_at: number | null
  finished_at: number | null
}

const transports: Record<string, string> = {
  grpc: 'grpc',
  websocket: 'websocket',
  rest_two_phase: 'poll',
  rest: 'poll',
  rest_by_hand: 'poll',
  job_router: 'job_router',
}

/**
 * The current jobs of a pipeline, in the order of their stages. `debugLogs`: lines are shown of logs of debugging shells too.
 */
export async function listJobViews(
  from: Reader,
  pipelineId: number,
  { debugLogs = false }: { debugLogs?: boolean } = {},
): Promise<JobView[]> {
  const rows = await from.db
    .selectFrom('jobs')
    .innerJoin('stages', 'stages.id', 'jobs.stage_id')
    .leftJoin('runners', 'runners.id', 'jobs.runner_id')
    .leftJoin('leases', (join) => join.onRef('leases.job_id', '=', 'jobs.id').onRef('leases.fence', '=', 'jobs.fence'))
    .leftJoin('verdicts', 'verdicts.job_id', 'jobs.id')
    .leftJoin('traces', 'traces.job_id', 'jobs.id')
    .select([
      'jobs.id',
      'jobs.name',
      'stages.name as stage',
      'jobs.status',
      'jobs.allow_failure',
      'jobs.failure_reason',
      'jobs.failure_message',
      'verdicts.lines',
      'traces.debug',
      'runners.description as runner',
      'leases.door',
      'jobs.created_at',
      'jobs.queued_at',
      'jobs.started_at',
      'jobs.finished_at',
    ])
    .where('jobs.pipeline_id', '=', pipelineId)
    .where('jobs.retried', '=', 0)
    .orderBy('jobs.stage_position')
    .orderBy('jobs.id')
    .execute()
  return rows.map(({ door, lines, debug, ...row }) => ({
    ...row,
    failure_lines: lines === null || (debug === 1 && !debugLogs) ? [] : (JSON.parse(lines) as string[]),
    allow_failure: row.allow_failure === 1,
    transport: door === null ? null : (transports[door] ?? door),
  }))
}
