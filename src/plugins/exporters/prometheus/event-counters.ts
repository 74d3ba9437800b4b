/**
 * Counters and histograms, made of committed events. GitLab's own names where the meaning is equal
 * (gitlab lib/gitlab/ci/queue/metrics.rb, lib/gitlab/ci/pipeline/metrics.rb); ours begin with `signalbox_`.
 *
 * Times between two events of a job need the first one: jobs under way are kept here, at most `jobLimit`. Those that were
 * under way when this process started are not in the histograms.
 */
import type * as Prometheus from 'prom-client'
import type { ExportedEvent, FailureClass } from '../../sdk.js'

type Prom = typeof Prometheus

/** What is remembered of a job between its events. Times in milliseconds since 1970. */
interface JobUnderWay {
  queuedAt: number | null
  offeredAt: number
  carrier: string
  startedAt: number | null
  cancelAt: number | null
}

const jobLimit = 100_000
const labelLimit = 100

// The buckets of GitLab's job_queue_duration_seconds.
const queueBuckets = [1, 3, 10, 30, 60, 300, 900, 1800, 3600]
const quickBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600]
// The buckets of GitLab Runner's gitlab_runner_job_duration_seconds, and shorter ones.
const durationBuckets = [1, 5, 15, 30, 60, 300, 600, 1800, 3600, 7200, 10_800, 18_000, 36_000]

const carriers: ReadonlyMap<unknown, string> = new Map([
  ['grpc', 'grpc'],
  ['websocket', 'websocket'],
  ['job_router', 'job_router'],
  ['rest', 'poll'],
  ['rest_two_phase', 'poll'],
  ['rest_by_hand', 'poll'],
])

/** Of GitLab's `project_jobs_running_on_instance_runners_count`. */
const runningCounts = ['0', '1', '2', '3', '4', '5+', '+Inf'] as const

const failureClasses: readonly FailureClass[] = [
  ...(['script', 'config', 'image', 'dependency', 'capacity', 'interrupted', 'runner_lost'] as const),
  ...(['timeout_job', 'timeout_idle', 'policy', 'canceled', 'internal', 'unknown'] as const),
]

const finalStatuses = new Set(['success', 'failed', 'canceled', 'skipped'])

/** Registers the metrics, and gives the function that counts an event. */
export function eventCounters(prom: Prom, registry: Prometheus.Registry): (event: ExportedEvent) => void {
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new prom.Counter<Label>({ name, help, labelNames, registers })
  const histogram = <Label extends string>(name: string, help: string, buckets: number[], ...labelNames: Label[]) =>
    new prom.Histogram<Label>({ name, help, buckets, labelNames, registers })

  const queueDuration = histogram(
    'job_queue_duration_seconds',
    'Time from pending to the hand-out.',
    queueBuckets,
    ...(['shared_runner', 'jobs_running_for_project', 'shard'] as const),
  )
  const jobFailures = counter('gitlab_ci_job_failure_reasons', 'Failed jobs by reason.', 'reason')
  const pipelineFailures = counter('gitlab_ci_pipeline_failure_reasons', 'Failed pipelines by reason.', 'reason')
  const offers = counter('signalbox_offers_total', 'Offers by what became of them.', 'result')
  const offerToAccept = histogram(
    'signalbox_offer_to_accept_seconds',
    'Time from the offer to its acceptance.',
    quickBuckets,
    'carrier',
  )
  const enqueueToStart = histogram(
    'signalbox_enqueue_to_start_seconds',
    'Time from pending to running.',
    quickBuckets,
    'carrier',
  )
  const jobDuration = histogram(
    'signalbox_job_duration_seconds',
    'Time from running to the end.',
    durationBuckets,
    'status',
  )
  const cancelToStop = histogram(
    'signalbox_cancel_to_stop_seconds',
    'Time from the wish to cancel to the end.',
    quickBuckets,
    'carrier',
  )
  const jobs = counter('signalbox_jobs_total', 'Jobs that have ended.', 'status', 'class')
  const retries = counter('signalbox_jobs_retried_total', 'Jobs that were tried again.')
  const newPipelines = counter('signalbox_new_pipelines_total', 'Pipelines that were made.', 'source')
  const pipelines = counter('signalbox_pipelines_total', 'Pipelines that have ended, counted at each end.', 'status')
  const leasesExpired = counter('signalbox_leases_expired_total', 'Leases whose runner was not heard from.', 'state')
  const mismatches = counter('signalbox_trace_mismatches_total', 'Logs that are not what the runner said it sent.')
  // A series that begins at its first event hides it: growth is seen from 0 on.
  for (const one of failureClasses) jobs.inc({ status: 'failed', class: one }, 0)
  leasesExpired.inc({ state: 'held' }, 0)
  leasesExpired.inc({ state: 'offered' }, 0)

  const underWay = new Map<number, JobUnderWay>()
  const lost = new Set<number>()
  const bounded = boundedLabels()

  return (event) => {
    const { at, jobId, data } = event
    const job = jobId === null ? undefined : underWay.get(jobId)
    const text = (key: string) => bounded(key, data[key])
    switch (event.kind) {
      case 'job.leased': {
        const waitedMs = typeof data.waited_ms === 'number' ? data.waited_ms : null
        if (waitedMs !== null) {
          const shard = typeof data.shard === 'string' && /^[\w.-]{1,64}$/.test(data.shard) ? text('shard') : 'default'
          const running = runningCounts.find((one) => one === data.jobs_running) ?? '+Inf'
          const labels = {
            shared_runner: String(data.runner_type === 'instance'),
            jobs_running_for_project: running,
            shard,
          }
          queueDuration.observe(labels, seconds(waitedMs))
        }
        if (jobId === null) break
        const carrier = carriers.get(data.door) ?? 'other'
        const queuedAt = waitedMs === null ? null : at - waitedMs
        remember(underWay, jobId, { queuedAt, offeredAt: at, carrier, startedAt: null, cancelAt: null })
        break
      }
      case 'job.offer_void':
        offers.inc({ result: text('reason') })
        if (data.reason === 'not_accepted') leasesExpired.inc({ state: 'offered' })
        if (jobId !== null) underWay.delete(jobId)
        break
      case 'job.changed':
        if (data.to === 'running') {
          offers.inc({ result: 'accepted' })
          if (!job) break
          job.startedAt = at
          offerToAccept.observe({ carrier: job.carrier }, seconds(at - job.offeredAt))
          if (job.queuedAt !== null) enqueueToStart.observe({ carrier: job.carrier }, seconds(at - job.queuedAt))
        } else if (data.to === 'canceling' && job) {
          job.cancelAt ??= at
        }
        break
      case 'job.finished':
        jobs.inc({ status: text('to'), class: data.class === undefined ? '' : text('class') })
        if (data.to === 'failed')
          jobFailures.inc({ reason: data.reason === undefined ? 'unknown_failure' : text('reason') })
        if (job?.startedAt) jobDuration.observe({ status: text('to') }, seconds(at - job.startedAt))
        if (job?.cancelAt) cancelToStop.observe({ carrier: job.carrier }, seconds(at - job.cancelAt))
        if (jobId !== null) underWay.delete(jobId)
        // The lease of a job that has lost its runner ends right after it, as expired or not.
        if (data.class === 'runner_lost' && jobId !== null) {
          leasesExpired.inc({ state: 'held' })
          lost.add(jobId)
        }
        break
      case 'job.retried':
        retries.inc()
        break
      case 'pipeline.created':
        newPipelines.inc({ source: text('source') })
        // One without jobs shows what is wrong with its file, and has failed as it was made.
        if (data.jobs === 0) pipelineFailures.inc({ reason: 'config_error' })
        break
      case 'pipeline.changed':
        if (typeof data.to === 'string' && finalStatuses.has(data.to)) pipelines.inc({ status: data.to })
        if (data.to === 'failed') pipelineFailures.inc({ reason: 'unknown_failure' })
        break
      case 'lease.ended':
        if (jobId !== null && lost.delete(jobId)) break
        if (data.status === 'expired') leasesExpired.inc({ state: 'held' })
        break
      case 'trace.mismatch':
        mismatches.inc()
        break
    }
  }
}

function remember(jobs: Map<number, JobUnderWay>, id: number, job: JobUnderWay): void {
  jobs.delete(id)
  jobs.set(id, job)
  if (jobs.size <= jobLimit) return
  const oldest = jobs.keys().next().value
  if (oldest !== undefined) jobs.delete(oldest)
}

/** Values of labels come from closed lists; should one not, it cannot make series without end. */
function boundedLabels(): (key: string, value: unknown) => string {
  const known = new Map<string, Set<string>>()
  return (key, value) => {
    if (typeof value !== 'string' || !/^\w{1,64}$/.test(value)) return 'other'
    const values = known.get(key) ?? new Set()
    known.set(key, values)
    if (!values.has(value) && values.size >= labelLimit) return 'other'
    values.add(value)
    return value
  }
}

function seconds(ms: number): number {
  return Math.max(0, ms) / 1000
}
