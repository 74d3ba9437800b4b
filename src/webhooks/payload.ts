/** What webhooks are told, in GitLab's shape: gitlab lib/gitlab/data_builder/{build,pipeline}.rb. */
import type { Core } from '../core/core.js'
import { type Job, secondsBetween } from '../core/job.js'
import type { JobStatus } from '../core/lifecycle/job-machine.js'
import type { Pipeline } from '../core/pipeline.js'
import type { CommitInfo, Project } from '../core/project.js'
import type { Runner } from '../core/runner.js'
import { listArtifacts } from '../core/store/artifacts.js'
import { listJobs } from '../core/store/job-lists.js'
import { findJob } from '../core/store/jobs.js'
import { findPipeline, listStages } from '../core/store/pipelines.js'
import { findGroup, findProject } from '../core/store/projects.js'
import { definitionsById, runnersById, usersById } from '../core/store/related.js'
import type { User } from '../core/store/users.js'

interface Scene {
  core: Core
  project: Project
  pipeline: Pipeline
  commit: CommitInfo | undefined
}

const mostBuilds = 1000

/** The status that a job has just come to; undefined if it is gone. */
export async function jobPayload(core: Core, jobId: number, status: JobStatus): Promise<object | undefined> {
  const { read } = core.store
  const job = await findJob(read, jobId)
  const scene = job && (await sceneOf(core, job.pipelineId))
  if (!job || !scene) return undefined
  const { project, pipeline, commit } = scene
  const [users, runners, plans] = await Promise.all([
    usersById(read, [job.userId, pipeline.userId]),
    runnersById(read, [job.runnerId]),
    definitionsById(read, [job.definitionId]),
  ])
  const now = core.clock.now()
  return {
    object_kind: 'build',
    ref: pipeline.ref,
    tag: pipeline.tag === 1,
    before_sha: pipeline.beforeSha,
    sha: pipeline.sha,
    build_id: job.id,
    build_name: job.name,
    build_stage: plans.get(job.definitionId)?.stage ?? '',
    build_status: status,
    build_created_at: toTime(job.createdAt),
    build_started_at: toTime(job.startedAt),
    build_finished_at: toTime(job.finishedAt),
    build_duration: secondsBetween(job.startedAt, job.finishedAt ?? now),
    build_queued_duration: secondsBetween(job.queuedAt, job.startedAt ?? job.finishedAt ?? now),
    build_allow_failure: job.allowFailure === 1,
    build_failure_reason: job.failureReason ?? 'unknown_failure',
    pipeline_id: pipeline.id,
    runner: toRunner(job.runnerId === null ? undefined : runners.get(job.runnerId)),
    project_id: project.id,
    project_name: project.fullPath.split('/').join(' / '),
    user: toUser(users.get(job.userId ?? pipeline.userId ?? 0)),
    commit: {
      id: pipeline.id,
      name: pipeline.name,
      sha: pipeline.sha,
      message: commit?.message ?? '',
      author_name: commit?.authorName ?? '',
      author_email: commit?.authorEmail ?? '',
      status: pipeline.status,
      duration: wholeSeconds(pipeline.durationMs),
      started_at: toTime(pipeline.startedAt),
      finished_at: toTime(pipeline.finishedAt),
    },
    repository: {
      name: project.name,
      url: null,
      description: project.description,
      homepage: webUrl(scene),
      git_http_url: `${webUrl(scene)}.git`,
      git_ssh_url: null,
      visibility_level: visibilityLevels[project.visibility],
    },
    project: await toProject(scene),
    environment: job.environment === null ? null : { name: job.environment },
  }
}

/** The status that a pipeline has just come to, with its jobs as they are; undefined if it is gone. */
export async function pipelinePayload(core: Core, pipelineId: number, status: JobStatus): Promise<object | undefined> {
  const { read } = core.store
  const scene = await sceneOf(core, pipelineId)
  if (!scene) return undefined
  const { pipeline, commit } = scene
  const filter = { pipelineId, kinds: ['build', 'bridge'] as const }
  const jobs = await listJobs(read, filter, { limit: mostBuilds, offset: 0 })
  const [users, runners, plans, artifacts, stages] = await Promise.all([
    usersById(read, [pipeline.userId, ...jobs.map((job) => job.userId)]),
    runnersById(
      read,
      jobs.map((job) => job.runnerId),
    ),
    definitionsById(
      read,
      jobs.map((job) => job.definitionId),
    ),
    listArtifacts(
      read,
      jobs.map((job) => job.id),
    ),
    listStages(read, pipelineId),
  ])
  const archives = new Map(artifacts.filter((one) => one.type === 'archive').map((one) => [one.jobId, one]))
  const now = core.clock.now()
  return {
    object_kind: 'pipeline',
    object_attributes: {
      id: pipeline.id,
      iid: pipeline.iid,
      name: pipeline.name,
      ref: pipeline.ref,
      tag: pipeline.tag === 1,
      sha: pipeline.sha,
      before_sha: pipeline.beforeSha,
      source: pipeline.source,
      status,
      detailed_status: status === 'success' ? 'passed' : status,
      stages: stages.map((stage) => stage.name),
      created_at: toTime(pipeline.createdAt),
      finished_at: toTime(pipeline.finishedAt),
      duration: wholeSeconds(pipeline.durationMs),
      queued_duration: pipeline.startedAt === null ? null : wholeSeconds(pipeline.startedAt - pipeline.createdAt),
      protected_ref: pipeline.protected === 1,
      // Values may be secrets: they are read with `GET …/pipelines/ID/variables`.
      variables: [],
      url: `${webUrl(scene)}/-/pipelines/${pipeline.id}`,
    },
    merge_request: null,
    user: toUser(pipeline.userId === null ? undefined : users.get(pipeline.userId)),
    project: await toProject(scene),
    commit: commit
      ? {
          id: commit.sha,
          message: commit.message,
          title: commit.message.split('\n', 1)[0],
          timestamp: commit.timestamp,
          url: `${webUrl(scene)}/-/commit/${commit.sha}`,
          author: { name: commit.authorName, email: commit.authorEmail },
        }
      : null,
    builds: jobs.map((job) => {
      const plan = plans.get(job.definitionId)
      const archive = archives.get(job.id)
      return {
        id: job.id,
        stage: plan?.stage ?? '',
        name: job.name,
        status: job.status,
        created_at: toTime(job.createdAt),
        started_at: toTime(job.startedAt),
        finished_at: toTime(job.finishedAt),
        duration: secondsBetween(job.startedAt, job.finishedAt ?? now),
        queued_duration: secondsBetween(job.queuedAt, job.startedAt ?? job.finishedAt ?? now),
        failure_reason: job.failureReason,
        when: job.runWhen,
        manual: job.runWhen === 'manual',
        allow_failure: job.allowFailure === 1,
        user: toUser(job.userId === null ? undefined : users.get(job.userId)),
        runner: toRunner(job.runnerId === null ? undefined : runners.get(job.runnerId)),
        artifacts_file: { filename: archive?.filename ?? null, size: archive?.sizeBytes ?? null },
        environment: job.environment === null ? null : environmentOf(job),
      }
    }),
  }
}

async function sceneOf(core: Core, pipelineId: number): Promise<Scene | undefined> {
  const pipeline = await findPipeline(core.store.read, pipelineId)
  const project = pipeline && (await findProject(core.store.read, pipeline.projectId))
  if (!pipeline || !project) return undefined
  const commit = await core.repositories.commit(project, pipeline.sha).catch(() => undefined)
  return { core, project, pipeline, commit }
}

function environmentOf(job: Job): object {
  return { name: job.environment, action: null, deployment_tier: null }
}

const visibilityLevels = { private: 0, internal: 10, public: 20 }

function webUrl({ core, project }: Scene): string {
  return `${core.externalUrl()}/${project.fullPath}`
}

async function toProject(scene: Scene): Promise<object> {
  const { core, project } = scene
  const group = await findGroup(core.store.read, project.groupId)
  return {
    id: project.id,
    name: project.name,
    description: project.description,
    web_url: webUrl(scene),
    avatar_url: null,
    git_ssh_url: null,
    git_http_url: `${webUrl(scene)}.git`,
    namespace: group?.name ?? '',
    visibility_level: visibilityLevels[project.visibility],
    path_with_namespace: project.fullPath,
    default_branch: project.defaultBranch,
    ci_config_path: project.configPath,
  }
}

function toUser(user: User | undefined): object | null {
  return user ? { id: user.id, name: user.name, username: user.username, avatar_url: null, email: '[REDACTED]' } : null
}

function toRunner(runner: Runner | undefined): object | null {
  if (!runner) return null
  return {
    id: runner.id,
    description: runner.description,
    runner_type: `${runner.type}_type`,
    active: runner.active === 1,
    is_shared: runner.type === 'instance',
    tags: JSON.parse(runner.tags),
  }
}

function wholeSeconds(ms: number | null): number | null {
  return ms === null ? null : Math.floor(ms / 1000)
}

/** `2026-01-01 00:00:00 UTC`, as GitLab tells times here and nowhere else. */
function toTime(ms: number | null): string | null {
  return ms === null ? null : `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
