/**
 * The events of a small pipeline, as a coordinator has committed them: a compile job, then two tests of which one fails, is
 * retried and fails again.
 */
import type { ExportedEvent, Json } from '../sdk.js'

/** Milliseconds after the first, kind, ids (project, pipeline, job, runner), data. */
type Row = [number, string, [number | null, number | null, number | null, number | null], Record<string, Json>]

const firstAt = 1796100432157

const rows: Row[] = [
  [0, 'project.created', [1, null, null, null], { path: 'acme/app' }],
  [10555, 'runner.created', [null, null, null, 1], { type: 'instance' }],
  [12417, 'pipeline.created', [1, 1, null, null], { iid: 1, ref: 'main', source: 'push', jobs: 3 }],
  [12417, 'job.changed', [1, 1, 1, null], { event: 'enqueue', from: 'created', to: 'pending' }],
  [12417, 'pipeline.changed', [1, 1, null, null], { from: 'created', to: 'pending' }],
  [
    12887,
    'job.leased',
    [1, 1, 1, 1],
    {
      fence: 1,
      door: 'websocket',
      manager: 1,
      waited_ms: 470,
      queue_size: 1,
      queue_depth: 1,
      runner_type: 'instance',
      jobs_running: '0',
    },
  ],
  [12967, 'job.changed', [1, 1, 1, 1], { event: 'run', from: 'pending', to: 'running' }],
  [12967, 'pipeline.changed', [1, 1, null, null], { from: 'pending', to: 'running' }],
  [13043, 'job.started', [1, 1, 1, 1], { executor: 'shell', shell: 'bash', host: 'vm' }],
  [14130, 'lease.ended', [1, 1, 1, 1], { fence: 1, status: 'released', reason: 'finished' }],
  [14130, 'job.finished', [1, 1, 1, 1], { event: 'success', from: 'running', to: 'success' }],
  [14130, 'job.changed', [1, 1, 2, null], { event: 'enqueue', from: 'created', to: 'pending' }],
  [14130, 'job.changed', [1, 1, 3, null], { event: 'enqueue', from: 'created', to: 'pending' }],
  [
    14241,
    'job.leased',
    [1, 1, 2, 1],
    {
      fence: 1,
      door: 'websocket',
      manager: 1,
      waited_ms: 111,
      queue_size: 1,
      queue_depth: 1,
      runner_type: 'instance',
      jobs_running: '0',
    },
  ],
  [14297, 'job.changed', [1, 1, 2, 1], { event: 'run', from: 'pending', to: 'running' }],
  [14358, 'job.started', [1, 1, 2, 1], { executor: 'shell', shell: 'bash', host: 'vm' }],
  [15548, 'lease.ended', [1, 1, 2, 1], { fence: 1, status: 'released', reason: 'finished' }],
  [
    15548,
    'job.finished',
    [1, 1, 2, 1],
    { event: 'drop', from: 'running', to: 'failed', reason: 'script_failure', class: 'script' },
  ],
  [15548, 'job.retried', [1, 1, 4, null], { of: 2 }],
  [15548, 'job.changed', [1, 1, 4, null], { event: 'enqueue', from: 'created', to: 'pending' }],
  [
    15771,
    'job.leased',
    [1, 1, 3, 1],
    {
      fence: 1,
      door: 'websocket',
      manager: 1,
      waited_ms: 1641,
      queue_size: 1,
      queue_depth: 1,
      runner_type: 'instance',
      jobs_running: '0',
    },
  ],
  [15848, 'job.changed', [1, 1, 3, 1], { event: 'run', from: 'pending', to: 'running' }],
  [15885, 'job.started', [1, 1, 3, 1], { executor: 'shell', shell: 'bash', host: 'vm' }],
  [16510, 'lease.ended', [1, 1, 3, 1], { fence: 1, status: 'released', reason: 'finished' }],
  [16510, 'job.finished', [1, 1, 3, 1], { event: 'success', from: 'running', to: 'success' }],
  [
    16514,
    'job.leased',
    [1, 1, 4, 1],
    {
      fence: 1,
      door: 'websocket',
      manager: 1,
      waited_ms: 966,
      queue_size: 1,
      queue_depth: 1,
      runner_type: 'instance',
      jobs_running: '0',
    },
  ],
  [16537, 'job.changed', [1, 1, 4, 1], { event: 'run', from: 'pending', to: 'running' }],
  [16586, 'job.started', [1, 1, 4, 1], { executor: 'shell', shell: 'bash', host: 'vm' }],
  [17321, 'lease.ended', [1, 1, 4, 1], { fence: 1, status: 'released', reason: 'finished' }],
  [
    17321,
    'job.finished',
    [1, 1, 4, 1],
    { event: 'drop', from: 'running', to: 'failed', reason: 'script_failure', class: 'script' },
  ],
  [17321, 'pipeline.changed', [1, 1, null, null], { from: 'running', to: 'failed' }],
]

/** Returns a copy of them all, in their order. */
export function recordedEvents(): ExportedEvent[] {
  return rows.map(([after, kind, [projectId, pipelineId, jobId, runnerId], data], at) => ({
    id: at + 1,
    at: firstAt + after,
    kind,
    projectId,
    pipelineId,
    jobId,
    runnerId,
    data: structuredClone(data),
  }))
}
