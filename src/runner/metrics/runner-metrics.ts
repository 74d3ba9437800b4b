/**
 * The runner's own figures, made of what it tells its owner, under the names, labels and buckets of GitLab Runner, so that
 * dashboards for it work: commands/builds_helper.go and commands/multi.go there.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { RunnerEvent } from '../events.js'
import { program, shortToken } from '../identity.js'
import { type QueuingDuration, readQueuingDurations } from './queuing-durations.js'

export interface RunnerMetricsOptions {
  token: string
  name: string
  systemId: string
  executor: string
  concurrency: number
  queuingDurations: readonly QueuingDuration[]
  /** Milliseconds since 1970; `Date.now` unless told. */
  now?: () => number
}

export interface RunnerMetrics {
  observe(event: RunnerEvent): void
  /** The page, in the text format of Prometheus. */
  page(): Promise<{ contentType: string; body: string }>
}

const queueBuckets = [1, 3, 10, 30, 60, 120, 300, 900, 1800, 3600]
const durationBuckets = [30, 60, 300, 600, 1800, 3600, 7200, 10_800, 18_000, 36_000]
/** Scripts are made here; GitLab Runner has other modes too. */
const mode = 'traditional'

/** Throws `RunnerError` `usage` for queuing durations that cannot be. */
export function runnerMetrics(options: RunnerMetricsOptions): RunnerMetrics {
  const { now = Date.now } = options
  const exceeds = readQueuingDurations(options.queuingDurations)
  const registry = new Registry()
  const registers = [registry]
  const own = { runner: shortToken(options.token), runner_name: options.name, system_id: options.systemId }
  const names = ['runner', 'runner_name', 'system_id'] as const
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge<Label>({ name: `gitlab_runner_${name}`, help, labelNames, registers })
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter<Label>({ name: `gitlab_runner_${name}`, help, labelNames, registers })

  const jobs = gauge('jobs', 'The current number of running builds.', ...names, 'state', 'stage', 'executor_stage')
  const handled = counter('jobs_total', 'Total number of handled jobs.', ...names)
  const queueSize = gauge('job_queue_size', 'Jobs in the queue when the last job was received.', ...names)
  const queueDepth = gauge('job_queue_depth', 'Place in the queue of the last job that was received.', ...names)
  const exceeded = counter(
    'acceptable_job_queuing_duration_exceeded_total',
    'Increased each time when the queuing duration was longer than the configured threshold.',
    ...names,
  )
  const failed = counter(
    'failed_jobs_total',
    'Total number of failed jobs.',
    ...(['runner', 'runner_name'] as const),
    'failure_reason',
    'mode',
  )
  const modes = counter('job_execution_mode_total', 'Jobs by how they are executed.', 'mode', 'executor')
  const queued = new Histogram({
    name: 'gitlab_runner_job_queue_duration_seconds',
    help: 'A histogram representing job queue duration.',
    buckets: queueBuckets,
    labelNames: [...names, 'project_jobs_running'],
    registers,
  })
  const took = new Histogram({
    name: 'gitlab_runner_job_duration_seconds',
    help: 'Histogram of job durations.',
    buckets: durationBuckets,
    labelNames: [...names, 'mode'],
    registers,
  })
  gauge('concurrent', 'The current value of concurrent setting.').set(options.concurrency)
  gauge('limit', 'The current value of the limit setting.', ...names).set(own, options.concurrency)
  const { name, version, revision, platform, architecture } = program
  gauge(
    'version_info',
    'A metric with a constant value of 1 that describes the program.',
    'name',
    'version',
    'revision',
    'os',
    'architecture',
  ).set({ name, version, revision, os: platform, architecture }, 1)
  const running = { ...own, state: 'running', stage: 'step_script', executor_stage: 'run' }
  jobs.set({ ...own, state: 'idle', stage: 'idle', executor_stage: 'idle' }, 0)
  handled.inc(own, 0)

  processFigures(registry)

  /** When the jobs that run now were accepted. */
  const since = new Map<string, number>()
  const keyOf = ({ jobId, fence }: { jobId: number; fence: number }) => `${jobId} ${fence}`

  function ended(key: string): void {
    const startedAt = since.get(key)
    if (startedAt === undefined) return
    since.delete(key)
    jobs.set(running, since.size)
    took.observe({ ...own, mode }, Math.max(0, now() - startedAt) / 1000)
  }

  return {
    observe(event) {
      if (event.type === 'job.accepted') {
        const { waitedS, jobsRunning, size, depth } = event.queue
        since.set(keyOf(event), now())
        jobs.set(running, since.size)
        handled.inc(own)
        modes.inc({ mode, executor: options.executor })
        queued.observe({ ...own, project_jobs_running: jobsRunning }, waitedS)
        queueSize.set(own, size)
        queueDepth.set(own, depth)
        exceeded.inc(own, exceeds({ now: now(), waitedS, running: jobsRunning }) ? 1 : 0)
      } else if (event.type === 'job.finished') {
        ended(keyOf(event))
        const { state, failureReason } = event.report
        if (state === 'failed') {
          failed.inc({
            runner: own.runner,
            runner_name: own.runner_name,
            failure_reason: failureReason || 'unknown_failure',
            mode,
          })
        }
      }
    },
    page: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}

/** Under the names of Prometheus' own clients; prom-client's own list calls gauges `_total`. */
function processFigures(registry: Registry): void {
  const registers = [registry]
  const start = { name: 'process_start_time_seconds', help: 'Start of the process, in seconds since 1970.', registers }
  new Gauge(start).set(performance.timeOrigin / 1000)
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory in use.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time used.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    },
  })
}
