/** Jobs, as gitlab lib/api/entities/ci/job.rb shows them. */
import type { Artifact } from '../../core/artifact.js'
import type { JobPlan } from '../../core/ci-config/job-definition.js'
import { type Job, secondsBetween } from '../../core/job.js'
import type { Pipeline } from '../../core/pipeline.js'
import type { CommitInfo, Project } from '../../core/project.js'
import type { Runner, RunnerManager } from '../../core/runner.js'
import type { User } from '../../core/store/users.js'
import type { JobEntity } from '../entities.js'
import { toCommitBasic } from './commit.js'
import { toPipelineBasic } from './pipeline.js'
import { toRunner, toRunnerManager } from './runner.js'
import { toIso } from './time.js'
import { toUserBasic } from './user.js'

/** All that a job is shown with. */
export interface JobContext {
  project: Project
  pipeline: Pipeline
  plan: JobPlan
  user: User | undefined
  /** Undefined: it could not be read. */
  commit: CommitInfo | undefined
  runner: Runner | undefined
  manager: RunnerManager | undefined
  /** Which of the two have a job now. */
  busy: { runner: boolean; manager: boolean }
  artifacts: readonly Artifact[]
  externalUrl: string
  now: number
}

/** A job. Durations are seconds with fractions; `failure_reason` is there only if it failed. */
export function toJob(job: Job, context: JobContext): JobEntity {
  const { project, pipeline, plan, user, runner, manager, busy, externalUrl, now } = context
  const archive = context.artifacts.find((artifact) => artifact.type === 'archive')
  return {
    id: job.id,
    status: job.status,
    stage: plan.stage,
    name: job.name,
    ref: pipeline.ref,
    tag: pipeline.tag === 1,
    coverage: job.coverage,
    allow_failure: job.allowFailure === 1,
    created_at: toIso(job.createdAt),
    started_at: toIso(job.startedAt),
    finished_at: toIso(job.finishedAt),
    erased_at: toIso(job.erasedAt),
    duration: secondsBetween(job.startedAt, job.finishedAt ?? now),
    queued_duration: secondsBetween(job.queuedAt, job.startedAt ?? job.finishedAt ?? now),
    user: user ? toUserBasic(user, externalUrl) : null,
    commit: context.commit ? toCommitBasic(context.commit, project, externalUrl) : null,
    pipeline: toPipelineBasic(pipeline, project, externalUrl),
    ...(job.status === 'failed' ? { failure_reason: job.failureReason ?? 'unknown_failure' } : {}),
    web_url: `${externalUrl}/${project.fullPath}/-/jobs/${job.id}`,
    project: { ci_job_token_scope_enabled: false },
    ...(archive ? { artifacts_file: { filename: archive.filename, size: archive.sizeBytes } } : {}),
    artifacts: context.artifacts.map((artifact) => ({
      file_type: artifact.type,
      size: artifact.sizeBytes,
      filename: artifact.filename,
      file_format: artifact.format,
    })),
    // Where a runner is, is nothing that whoever reads the job must know.
    runner: runner ? { ...toRunner(runner, manager, { now, busy: busy.runner }), ip_address: null } : null,
    runner_manager: manager ? { ...toRunnerManager(manager, { now, busy: busy.manager }), ip_address: null } : null,
    artifacts_expire_at: toIso(archive?.expiresAt ?? null),
    archived: false,
    tag_list: plan.tags,
  }
}

/** What of a job's entity holds for a trigger job: no runner has it, and it keeps nothing. */
export function toBridge(job: JobEntity): object {
  const absent = ['artifacts_file', 'artifacts', 'runner', 'runner_manager', 'artifacts_expire_at', 'tag_list']
  return Object.fromEntries(Object.entries(job).filter(([key]) => !absent.includes(key)))
}
