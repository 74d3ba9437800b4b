/** Pipelines, as gitlab lib/api/entities/ci/pipeline*.rb show them. */
import type { PlanVariable } from '../../core/ci-config/variables.js'
import type { JobStatus } from '../../core/lifecycle/job-machine.js'
import { is } from '../../core/lifecycle/job-machine.js'
import type { Pipeline } from '../../core/pipeline.js'
import type { Project } from '../../core/project.js'
import type { User } from '../../core/store/users.js'
import type { PipelineBasicEntity, PipelineEntity } from '../entities.js'
import { toIso } from './time.js'
import { toUserBasic } from './user.js'

export interface PipelineContext {
  project: Project
  user: User | undefined
  externalUrl: string
  /** Percent; absent where it was not asked for. */
  coverage?: number | null
}

/** A pipeline as lists and jobs show it. */
export function toPipelineBasic(pipeline: Pipeline, project: Project, externalUrl: string): PipelineBasicEntity {
  return {
    id: pipeline.id,
    iid: pipeline.iid,
    project_id: pipeline.projectId,
    sha: pipeline.sha,
    ref: pipeline.ref,
    status: pipeline.status,
    source: pipeline.source,
    created_at: toIso(pipeline.createdAt),
    updated_at: toIso(pipeline.updatedAt),
    web_url: `${externalUrl}${pathOf(pipeline, project)}`,
  }
}

/** A pipeline by itself. Durations are whole seconds. */
export function toPipeline(
  pipeline: Pipeline,
  { project, user, externalUrl, coverage }: PipelineContext,
): PipelineEntity {
  return {
    ...toPipelineBasic(pipeline, project, externalUrl),
    before_sha: pipeline.beforeSha,
    tag: pipeline.tag === 1,
    yaml_errors: pipeline.yamlErrors,
    user: user ? toUserBasic(user, externalUrl) : null,
    started_at: toIso(pipeline.startedAt),
    finished_at: toIso(pipeline.finishedAt),
    committed_at: null,
    duration: pipeline.durationMs === null ? null : Math.floor(pipeline.durationMs / 1000),
    queued_duration: queuedSeconds(pipeline),
    coverage: coverage == null ? null : coverage.toFixed(2),
    detailed_status: toDetailedStatus(pipeline.status, pathOf(pipeline, project)),
    name: pipeline.name,
  }
}

/** Whole seconds from its creation until something ran. */
function queuedSeconds({ createdAt, startedAt }: Pipeline): number | null {
  return startedAt === null ? null : Math.floor(Math.max(0, startedAt - createdAt) / 1000)
}

function pathOf(pipeline: Pipeline, project: Project): string {
  return `/${project.fullPath}/-/pipelines/${pipeline.id}`
}

const words: Partial<Record<JobStatus, { text: string; label?: string; icon?: string }>> = {
  success: { text: 'Passed', label: 'passed' },
  waiting_for_resource: { text: 'Waiting', label: 'waiting for resource', icon: 'pending' },
  waiting_for_callback: { text: 'Waiting', label: 'waiting for callback', icon: 'pending' },
  manual: { text: 'Manual', label: 'manual action' },
  scheduled: { text: 'Delayed', label: 'waiting for delayed job' },
  canceling: { text: 'Canceling', icon: 'canceled' },
}

/** How the page shows a status: gitlab lib/gitlab/ci/status. */
function toDetailedStatus(status: JobStatus, detailsPath: string): PipelineEntity['detailed_status'] {
  const text = words[status]?.text ?? `${status[0]!.toUpperCase()}${status.slice(1)}`
  const label = words[status]?.label ?? status
  const icon = words[status]?.icon ?? status
  return {
    icon: `status_${icon}`,
    text,
    label,
    group: status.replaceAll('_', '-'),
    tooltip: is('finished', status) || status === 'skipped' ? label : text.toLowerCase(),
    has_details: true,
    details_path: detailsPath,
    illustration: null,
    favicon: `/assets/ci_favicons/favicon_status_${icon}.png`,
  }
}

/** A variable that a pipeline was started with. */
export function toPipelineVariable(variable: PlanVariable): object {
  return {
    variable_type: variable.file ? 'file' : 'env_var',
    key: variable.key,
    value: variable.value,
    raw: variable.raw ?? false,
  }
}
