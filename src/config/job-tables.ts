/** The tables of `signalbox.toml` that are about jobs: who has them, what they may take, and when they wait too long. */
import * as z from 'zod/mini'
import { SignalboxError } from '../core/errors.js'
import { readQueueObjective } from '../core/queue-sli.js'
import { defaultTaskTimes } from '../core/scheduler/task-times.js'
import { stuckProfiles } from '../core/stuck.js'
import {
  duration,
  durationText,
  longestTimerMs,
  named,
  oneOf,
  refuse,
  setting,
  table,
  taskTime,
  text,
  wholeNumber,
} from './kinds.js'
import { defaultSettings } from './settings.js'

const given = defaultSettings('').core
const { leases, caches } = given

export const leasesTable = table({
  stream_accept_within: setting(
    z.prefault(duration({ most: longestTimerMs }), durationText(leases.stream.acceptWithinMs)),
    'How long a job that was offered down a stream waits to be accepted.',
  ),
  stream_held_for: setting(
    z.prefault(duration({ most: longestTimerMs }), durationText(leases.stream.heldForMs)),
    "A stream's lease, after each renewal.",
  ),
  stream_renew_every: setting(
    z.prefault(duration({ most: longestTimerMs }), durationText(leases.renewEveryMs)),
    'How often a stream renews; shorter than `stream_held_for`.',
  ),
  poll_accept_within: setting(
    z.prefault(duration({ most: longestTimerMs }), durationText(leases.twoPhase.acceptWithinMs)),
    'How long a job that a polling runner was given waits to be accepted.',
  ),
  poll_held_for: setting(
    z.prefault(duration({ most: longestTimerMs }), durationText(leases.twoPhase.heldForMs)),
    "A polling runner's lease, after each contact.",
  ),
  excluded_for: setting(
    z.prefault(duration({ zero: true, most: longestTimerMs }), durationText(leases.excludedForMs)),
    'How long a runner is passed over for a job whose offer to it came to nothing.',
  ),
  report_waits: setting(
    z.prefault(duration({ zero: true, most: longestTimerMs }), durationText(leases.reportWaitsMs)),
    "How long a stream's final report waits for the part of the log that it counts.",
  ),
  cancel_grace: setting(
    z.prefault(duration({ zero: true, most: longestTimerMs }), durationText(leases.cancelGraceMs)),
    'Time between the polite signal of a cancel and the kill.',
  ),
}).check(
  z.refine((one) => one.stream_renew_every < one.stream_held_for, {
    path: ['stream_renew_every'],
    error: 'must be shorter than stream_held_for, or every lease would end',
  }),
)

export const limitsTable = table({
  trace_bytes: setting(
    z.prefault(wholeNumber({ from: 1 }), given.traceLimitBytes),
    'Largest log of a job, in bytes; what comes after is left out.',
  ),
  artifact_bytes: setting(
    z.prefault(wholeNumber({ from: 1 }), given.artifactLimitBytes),
    'Largest archive of artifacts, in bytes.',
  ),
  dotenv_bytes: setting(
    z.prefault(wholeNumber(), given.dotenvLimitBytes),
    'A `dotenv` report must be smaller, in bytes.',
  ),
  dotenv_variables: setting(
    z.prefault(wholeNumber(), given.dotenvLimitVariables),
    'Most variables of a `dotenv` report.',
  ),
  jobs_per_pipeline: setting(
    z.prefault(wholeNumber({ from: 1, to: 1_000_000 }), given.pipelineJobLimit),
    'Most jobs of a pipeline.',
  ),
  git_depth: setting(
    z.prefault(wholeNumber({ from: 0, to: 2 ** 31 - 1 }), given.gitDepth),
    'Commits of history that a clone of a job has; 0: all.',
  ),
})

export const artifactsTable = table({
  expire_in: setting(
    z.prefault(
      named(
        z.union([z.literal('never'), duration()], 'must be a duration such as "30 days", or "never"'),
        'duration or `never`',
      ),
      given.artifactExpiryMs === null ? 'never' : durationText(given.artifactExpiryMs),
    ),
    'How long artifacts are kept that do not say so themselves; `never`: they stay.',
  ),
  archive_logs_after: setting(
    z.prefault(duration({ zero: true }), durationText(given.archiveTracesAfterMs)),
    'How long after the end of a job its log becomes an artifact.',
  ),
})

const term = (kept: number | null) =>
  z.prefault(
    named(
      z.union([z.literal('never'), duration()], 'must be a duration such as "90 days", or "never"'),
      'duration or `never`',
    ),
    kept === null ? 'never' : durationText(kept),
  )

export const retentionTable = table({
  pipelines: setting(
    term(given.retention.pipelinesMs),
    'Pipelines that were made so long ago are deleted, with logs and artifacts, where their project does not say how long; `never`: they stay.',
  ),
  events: setting(
    term(given.retention.eventsMs),
    'Events that are so old are deleted once all exporters have read them, unread ones after four times as long; `never`: they stay.',
  ),
})

export const cachesTable = table({
  keep_for: setting(
    z.prefault(duration(), durationText(caches.keepMs)),
    'Time after which a cache that no job has used is deleted.',
  ),
  entry_bytes: setting(z.prefault(wholeNumber(), caches.entryBytes), 'Largest archive, in bytes.'),
  project_bytes: setting(
    z.prefault(wholeNumber(), caches.projectBytes),
    'All caches of a project together, in bytes; the least recently used go first.',
  ),
})

export const stuckTable = table({
  profile: setting(
    z.prefault(oneOf(stuckProfiles), 'classic'),
    'Failure reasons and thresholds of GitLab before 19.1 (`classic`), or since (`granular`).',
  ),
  pending: setting(
    z.optional(duration({ zero: true })),
    'Time that a job may be pending, whatever runners there are.',
    {
      default: '`24h`',
    },
  ),
  unmatched: setting(
    z.optional(duration({ zero: true })),
    'Time that a job may be pending while no runner that is online could take it.',
    {
      default: '`1h`',
    },
  ),
  running: setting(
    z.optional(duration({ zero: true })),
    'Time that a running job may be silent under requests made by hand (curl).',
    {
      default: '`1h`; `granular`: `30m`',
    },
  ),
  canceling: setting(z.optional(duration({ zero: true })), 'The same while being canceled.', {
    default: '`1h`; `granular`: `30m`',
  }),
  scheduled: setting(z.optional(duration({ zero: true })), 'Time that a delayed job may be late.', { default: '`1h`' }),
  over_timeout: setting(z.optional(duration({ zero: true })), 'Time that a job may run past its own timeout.', {
    default: '`15m`',
  }),
  spacing: setting(
    z.optional(duration({ zero: true })),
    'Between `stuck_ci_jobs`, `drop_running`, `drop_scheduled` and `drop_canceling`.',
    { default: '`15m`' },
  ),
})

export const tasksTable = table(
  Object.fromEntries(
    Object.entries(defaultTaskTimes).map(([name, time]) => [
      name,
      setting(
        z.prefault(taskTime(), typeof time === 'number' ? durationText(time) : time),
        `When the background task \`${name}\` runs: a duration, or a cron expression in UTC.`,
      ),
    ]),
  ),
)

/** As GitLab Runner has them. */
export const queueObjective = z.pipe(
  table({
    periods: setting(
      z.array(z.string('must be a cron expression'), 'must be a list of cron expressions'),
      'While one of them matches: five to seven fields, from seconds to years.',
    ),
    timezone: setting(z.prefault(text(), ''), 'IANA name of the zone of the periods.', {
      default: 'that of the process',
    }),
    threshold: setting(z.prefault(duration({ zero: true }), '0s'), 'Waiting for longer is too long; `0s`: nothing is.'),
    jobs_running_for_project: setting(
      z.optional(text()),
      "Counts only when the number of the project's other jobs on instance runners, as text, matches this pattern.",
    ),
  }),
  z.transform((one, ctx) => {
    const { periods, timezone, threshold, jobs_running_for_project: pattern } = one
    try {
      return readQueueObjective({
        periods,
        timezone,
        thresholdS: threshold / 1000,
        ...(pattern === undefined ? {} : { jobsRunningForProject: pattern }),
      })
    } catch (error) {
      const { details, message } = SignalboxError.from(error)
      return refuse(ctx, message, [String(details.field)])
    }
  }),
)
