/** Entities of our own API. */
import type { FailureExplanation } from '../core/operations/explain-failure.js'
import type { Explanation } from '../core/operations/explain-job.js'
import type { LogIndex } from '../core/operations/read-log.js'
import type { Project } from '../core/project.js'
import type { StoredEvent } from '../core/store/events.js'
import type { StoredReport } from '../core/store/reports.js'
import type { TaskRow } from '../core/store/tasks.js'

/** A background task. Times are ISO 8601 in UTC, durations milliseconds. */
export function toTask(task: TaskRow & { what: string }): object {
  return {
    name: task.name,
    description: task.what,
    paused: task.paused === 1,
    /** Zero: done inline; running it does what was left while it was paused. */
    interval_ms: task.intervalMs,
    /** In UTC; null: every `interval_ms`, or not by itself. */
    cron: task.cron,
    last_run_at: toIso(task.lastRunAt),
    next_run_at: toIso(task.nextRunAt),
    last_duration_ms: task.lastDurationMs,
    last_result: task.lastResult,
  }
}

/** A committed fact about a job, as `events` keeps it; its data never holds a secret. */
export function toEvent(event: StoredEvent): object {
  return {
    id: event.id,
    at: toIso(event.at),
    kind: event.kind,
    project_id: event.projectId,
    pipeline_id: event.pipelineId,
    job_id: event.jobId,
    runner_id: event.runnerId,
    data: JSON.parse(event.data),
  }
}

/** Why a job failed. */
export function toFailure(failure: FailureExplanation): object {
  const { decidedBy, ...fields } = failure
  return { ...fields, decided_by: decidedBy }
}

/** Why a job is where it is. */
export function toExplanation(why: Explanation): object {
  return {
    job_id: why.jobId,
    name: why.name,
    status: why.status,
    waits_for: why.waitsFor,
    summary: why.summary,
    since: toIso(why.since),
    expected_start: toIso(why.expectedStart),
    ...(why.place === undefined ? {} : { place: why.place }),
    ...(why.demand === undefined ? {} : { needs: why.demand }),
    ...(why.runners === undefined ? {} : { runners: why.runners }),
    ...(why.blockedBy === undefined ? {} : { blocked_by: why.blockedBy }),
    ...(why.confirmation === undefined ? {} : { manual_confirmation: why.confirmation }),
    ...(why.lastRefusal === undefined
      ? {}
      : {
          last_refusal: {
            at: toIso(why.lastRefusal.at),
            reason: why.lastRefusal.reason,
            runner_id: why.lastRefusal.runnerId,
          },
        }),
  }
}

/** Where things are in a log: lines from 0, places in bytes, times in milliseconds since 1970. */
export function toLogIndex({ bytes, lines, offsets, marks, failureLines, ended }: LogIndex): object {
  return { bytes, lines, offsets, marks, failure_lines: failureLines, ended }
}

/** What a report of a job comes to: test cases, lines or findings. */
export function toReport({ jobId, jobName, summary }: StoredReport): object {
  const { kind, ...figures } = summary
  return { job_id: jobId, job_name: jobName, type: kind, ...figures }
}

/** A project, by the names that GitLab's API has for these fields. */
export function toProject(project: Project, externalUrl: string): object {
  return {
    id: project.id,
    name: project.name,
    path: project.path,
    path_with_namespace: project.fullPath,
    description: project.description,
    default_branch: project.defaultBranch,
    visibility: project.visibility,
    web_url: `${externalUrl}/${project.fullPath}`,
    http_url_to_repo: `${externalUrl}/${project.fullPath}.git`,
    created_at: toIso(project.createdAt),
  }
}

/** ISO 8601 in UTC. */
export function toIso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}
