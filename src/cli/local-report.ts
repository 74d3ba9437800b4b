/** What `signalbox run` says at its end: which jobs failed and why, what their logs ended with, and what to do next. */
import { jobLine, type Placed, placedJobs, shownLines } from './follow.js'
import type { LocalFollower, ReadPipeline } from './local-follower.js'
import { statusText, type Terminal } from './terminal.js'

/** Failed jobs whose logs are quoted; of the others only the sentence is given. */
const quoted = 5

/** Whether the run is no success: the pipeline's own status, and what has failed where it waits for a person. */
export function hasFailed({ status, jobs }: ReadPipeline): boolean {
  if (status === 'failed' || status === 'canceled') return true
  return status !== 'success' && jobs.some((job) => job.status === 'failed' && !job.allow_failure)
}

/** Prints the end of a run for people. */
export function report(terminal: Terminal, root: ReadPipeline, follower: Pick<LocalFollower, 'tailOf'>): void {
  const { colors } = terminal
  const failed = placedJobs(root).filter(({ job }) => job.status === 'failed' && !job.allow_failure)
  // Why a trigger job failed is told by the jobs below it.
  const told = failed.filter(({ job }) => !hasFailedBelow(job))
  terminal.together(() => {
    for (const [index, placed] of told.entries()) {
      terminal.say('')
      terminal.say(jobLine(terminal, placed.job, placed.name))
      const tail = index < quoted ? follower.tailOf(placed.job.id) : []
      for (const line of shownLines(terminal, missingFrom(tail, placed.job))) terminal.say(line)
      for (const line of tail) terminal.say(`${colors.dim('  |')} ${line}`)
    }
    if (told.length > 0) terminal.say('')
    for (const detached of detachedFailures(root)) {
      terminal.say(
        `${colors.yellow('warning:')} the child pipeline of ${detached} failed; nothing waits for it (\`strategy\` is not set)`,
      )
    }
    terminal.say(`pipeline ${statusText(terminal, root.status)}`)
    for (const line of nextSteps(root)) terminal.say(colors.dim(line))
  })
}

/** The job with those lines that the end of its log does not show anyway. */
function missingFrom(tail: readonly string[], job: Placed['job']): Placed['job'] {
  const shown = (line: string) => tail.some((one) => one.includes(line))
  return { ...job, failure_lines: (job.failure_lines ?? []).filter((line) => !shown(line)) }
}

function hasFailedBelow(job: Placed['job']): boolean {
  return job.downstream?.jobs.some((one) => one.status === 'failed' && !one.allow_failure) === true
}

/** Names of trigger jobs that succeeded although what they started did not. */
function detachedFailures(root: ReadPipeline): string[] {
  return placedJobs(root)
    .filter(
      ({ job }) =>
        job.status === 'success' && (job.downstream?.status === 'failed' || job.downstream?.status === 'canceled'),
    )
    .map(({ name }) => name)
}

function nextSteps(root: ReadPipeline): string[] {
  const { jobs } = root
  const names = (status: string) =>
    jobs.filter((job) => job.status === status && !(status === 'failed' && job.allow_failure)).map(({ name }) => name)
  const [failed, waiting] = [names('failed'), names('manual')]
  if (failed.length > 0) return [`again, with what they need: ${commandFor(failed)}`]
  const own = new Set(jobs.map(({ id }) => id))
  const held = placedJobs(root).filter(({ job }) => job.status === 'manual' && !job.allow_failure && !own.has(job.id))
  return [
    ...(waiting.length > 0 ? [`to start what waits for a person: ${commandFor(waiting)}`] : []),
    // No name on the command line can mean a job of a child.
    ...held.map(({ name }) => `${name} waits for a person, and jobs of child pipelines cannot be started here`),
  ]
}

function commandFor(jobs: readonly string[]): string {
  const named = jobs.slice(0, 3)
  const end = named.some((name) => name.startsWith('-')) ? ['--'] : []
  const more = jobs.length > named.length ? ['…'] : []
  return ['signalbox run', ...end, ...named.map(quote), ...more].join(' ')
}

function quote(name: string): string {
  return /^[\w@%+=:,./-]+$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`
}
