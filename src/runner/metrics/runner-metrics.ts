/**
 * The runner's own figures, made of what it tells its owner, under the names, labels and buckets of GitLab Runner, so that
 * dashboards for it work: commands/builds_helper.go and commands/multi.go there.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { RunnerEvent, RunnerRequest } from '../events.js'
import { program, shortToken } from '../identity.js'
import { type QueuingDuration, readQueuingDurations } from './queuing-durations.js'

/** One runner, as its figures name it. */
export interface MeteredRunner {
  token: string
  name: string
  systemId: string
  executor: string
  /** Jobs of it at once. */
  limit: number
  queuingDurations: readonly QueuingDuration[]
}

export interface RunnerMetricsOptions extends Omit<MeteredRunner, 'limit'> {
  concurrency: number
  /** Milliseconds since 1970; `Date.now` unless told. */
  now?: () => number
  /** What else the page has, as text in the same format: figures of plugins. */
  more?: () => Promise<string>
}

/** The figures of a process, as a page in the text format of Prometheus. */
export interface MetricsPage {
  page(): Promise<{ contentType: string; body: string }>
}

export interface RunnerMetrics extends MetricsPage, Observer {}

/** What takes what one runner tells. */
export interface Observer {
  observe(event: RunnerEvent): void
  request(request: RunnerRequest): void
}

/** The figures of several runners in one process. */
export interface FleetMetrics extends MetricsPage {
  /** Jobs of all at once. */
  setConcurrent(concurrent: number): void
  /** Returns what takes what a runner tells. One that begins anew goes on with its figures. Throws `RunnerError` `usage`. */
  add(runner: MeteredRunner): Observer
}

const queueBuckets = [1, 3, 10, 30, 60, 120, 300, 900, 1800, 3600]
const durationBuckets = [30, 60, 300, 600, 1800, 3600, 7200, 10_800, 18_000, 36_000]
/** Scripts are made here; GitLab Runner has other modes too. */
const mode = 'traditional'
const names = ['runner', 'runner_name', 'system_id'] as const
const requester = ['runner', 'system_id'] as const
const requestBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** The same for one runner. Throws `RunnerError` `usage` for queuing durations that cannot be. */
export function runnerMetrics({ concurrency, now = Date.now, more, ...runner }: RunnerMetricsOptions): RunnerMetrics {
  const fleet = fleetMetrics(now, more)
  fleet.setConcurrent(concurrency)
  return { ...fleet.add({ ...runner, limit: concurrency }), page: fleet.page }
}

/** Figures for the runners that are added; `now`: milliseconds since 1970. */
export function fleetMetrics(now: () => number = Date.now, more = async () => ''): FleetMetrics {
  const registry = new Registry()
  const figures = figuresIn(registry)
  processFigures(registry)
  return {
    setConcurrent: (concurrent) => {
      figures.concurrent.set(concurrent)
      figures.slots.set(concurrent)
    },
    add: (runner) => ({ observe: observerOf(figures, runner, now), request: requestsOf(figures, runner) }),
    page: async () => ({ contentType: registry.contentType, body: (await registry.metrics()) + (await more()) }),
  }
}

/** Every figure, with nothing in it yet. */
function figuresIn(registry: Registry) {
  const registers = [registry]
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge<Label>({ name: `gitlab_runner_${name}`, help, labelNames, registers })
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter<Label>({ name: `gitlab_runner_${name}`, help, labelNames, registers })
  const histogram = <Label extends string>(name: string, help: string, buckets: number[], ...labelNames: Label[]) =>
    new Histogram<Label>({ name: `gitlab_runner_${name}`, help, buckets, labelNames, registers })
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
  return {
    jobs: gauge('jobs', 'The current number of running builds.', ...names, 'state', 'stage', 'executor_stage'),
    handled: counter('jobs_total', 'Total number of handled jobs.', ...names),
    queueSize: gauge('job_queue_size', 'Jobs in the queue when the last job was received.', ...names),
    queueDepth: gauge('job_queue_depth', 'Place in the queue of the last job that was received.', ...names),
    exceeded: counter(
      'acceptable_job_queuing_duration_exceeded_total',
      'Increased each time when the queuing duration was longer than the configured threshold.',
      ...names,
    ),
    failed: counter(
      'failed_jobs_total',
      'Total number of failed jobs.',
      ...(['runner', 'runner_name'] as const),
      'failure_reason',
      'mode',
    ),
    modes: counter('job_execution_mode_total', 'Jobs by how they are executed.', 'mode', 'executor'),
    queued: histogram(
      'job_queue_duration_seconds',
      'A histogram representing job queue duration.',
      queueBuckets,
      ...names,
      'project_jobs_running',
    ),
    took: histogram('job_duration_seconds', 'Histogram of job durations.', durationBuckets, ...names, 'mode'),
    unprocessed: counter(
      'worker_processing_failures_total',
      'Jobs that were not run to a good end.',
      'failure_type',
      ...names,
    ),
    slots: gauge('worker_slots_number', 'Places for jobs.'),
    asked: gauge('request_concurrency', 'Requests for a job under way.', ...requester),
    statuses: counter(
      'api_request_statuses_total',
      'Answers of the API by status.',
      ...requester,
      ...(['endpoint', 'status', 'method'] as const),
    ),
    requestTook: histogram(
      'api_request_duration_seconds',
      'Time until the API had answered.',
      requestBuckets,
      ...requester,
      ...(['endpoint', 'status_class', 'method'] as const),
    ),
    tries: counter('api_request_retries_total', 'Tries of requests, the first ones too.', 'path', 'method'),
    concurrent: gauge('concurrent', 'The current value of concurrent setting.'),
    limit: gauge('limit', 'The current value of the limit setting.', ...names),
  }
}

/** What counts the events of one runner. */
function observerOf(
  figures: ReturnType<typeof figuresIn>,
  options: MeteredRunner,
  now: () => number,
): (event: RunnerEvent) => void {
  const exceeds = readQueuingDurations(options.queuingDurations)
  const own = { runner: shortToken(options.token), runner_name: options.name, system_id: options.systemId }
  const running = { ...own, state: 'running', stage: 'step_script', executor_stage: 'run' }
  figures.limit.set(own, options.limit)
  figures.jobs.set({ ...own, state: 'idle', stage: 'idle', executor_stage: 'idle' }, 0)
  figures.handled.inc(own, 0)

  /** When the jobs that run now were accepted. */
  const since = new Map<string, number>()
  const keyOf = ({ jobId, fence }: { jobId: number; fence: number }) => `${jobId} ${fence}`

  function ended(key: string): void {
    const startedAt = since.get(key)
    if (startedAt === undefined) return
    since.delete(key)
    figures.jobs.set(running, since.size)
    figures.took.observe({ ...own, mode }, Math.max(0, now() - startedAt) / 1000)
  }

  return (event) => {
    if (event.type === 'job.accepted') {
      const { waitedS, jobsRunning, size, depth } = event.queue
      since.set(keyOf(event), now())
      figures.jobs.set(running, since.size)
      figures.handled.inc(own)
      figures.modes.inc({ mode, executor: options.executor })
      figures.queued.observe({ ...own, project_jobs_running: jobsRunning }, waitedS)
      figures.queueSize.set(own, size)
      figures.queueDepth.set(own, depth)
      figures.exceeded.inc(own, exceeds({ now: now(), waitedS, running: jobsRunning }) ? 1 : 0)
    } else if (event.type === 'job.finished') {
      ended(keyOf(event))
      const { state, failureReason } = event.report
      if (state !== 'failed') return
      const { runner, runner_name } = own
      figures.failed.inc({ runner, runner_name, failure_reason: failureReason || 'unknown_failure', mode })
      figures.unprocessed.inc({ ...own, failure_type: 'job_failure' })
    } else if (event.type === 'job.rejected') {
      figures.unprocessed.inc({ ...own, failure_type: event.reason === 'no_credit' ? 'no_free_executor' : 'other' })
    }
  }
}

/** What counts the requests of one runner to the polling API: names of GitLab Runner's network/api_requests_collector.go. */
function requestsOf(
  figures: ReturnType<typeof figuresIn>,
  { token, systemId }: MeteredRunner,
): (request: RunnerRequest) => void {
  const own = { runner: shortToken(token), system_id: systemId }
  figures.asked.set(own, 0)
  return ({ endpoint, method, answer }) => {
    if (endpoint === 'request_job') figures.asked.inc(own, answer ? -1 : 1)
    if (!answer) return
    figures.tries.inc({ path: endpoint, method }, answer.tries)
    // Who was not answered has no status.
    if (answer.status === 0) return
    figures.statuses.inc({ ...own, endpoint, status: answer.status, method })
    const statusClass = `${Math.floor(answer.status / 100)}xx`
    figures.requestTook.observe({ ...own, endpoint, status_class: statusClass, method }, answer.seconds)
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
