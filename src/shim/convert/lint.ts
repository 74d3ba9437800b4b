/** The answer of the linter: gitlab lib/api/entities/ci/lint/result.rb, lib/gitlab/ci/lint.rb. */

import type { IncludedFile, IncludeRequest } from '../../core/ci-config/compilation.js'
import { describeWithPlace } from '../../core/ci-config/config-error.js'
import { listPlannedJobs } from '../../core/ci-config/list-jobs.js'
import type { ListedJob } from '../../core/ci-config/listed-job.js'
import type { LintResult } from '../../core/operations/lint-config.js'
import type { Project } from '../../core/project.js'

/** What the linter found; `jobs`: also those of the file, or in a dry run those that a push would make. */
export function toLint(project: Project, result: LintResult, options: { jobs: boolean; dryRun: boolean }): object {
  const { outline, plan } = result
  return {
    valid: result.errors.length === 0 && outline !== undefined,
    errors: result.errors.map(describeWithPlace),
    warnings: [...result.warnings.map(describeWithPlace), ...(plan?.warnings ?? [])],
    merged_yaml: outline?.mergedYaml ?? null,
    includes: result.includes.map((one) => toInclude(project, result, one)),
    ...(options.jobs ? { jobs: jobsOf(result, options.dryRun).map(toLintJob) } : {}),
  }
}

/** A file that cannot even be found. */
export function toMissing(message: string): object {
  return { valid: false, errors: [message], warnings: [], merged_yaml: null, includes: [] }
}

/** In a dry run they are decided, though perhaps to no pipeline at all. */
function jobsOf({ outline, plan }: LintResult, dryRun: boolean): ListedJob[] {
  const all = outline?.jobs ?? []
  return dryRun ? listPlannedJobs(all, plan?.jobs ?? []) : all
}

function toLintJob(job: ListedJob): object {
  return {
    name: job.name,
    stage: job.stage,
    before_script: job.beforeScript,
    script: job.script,
    after_script: job.afterScript,
    tag_list: job.tags,
    only: job.only ?? null,
    except: job.except ?? null,
    environment: job.environment ?? null,
    when: job.when,
    allow_failure: job.allowFailure,
    needs: job.needs?.map((need) => ({ name: need.job, artifacts: need.artifacts, optional: need.optional })) ?? null,
  }
}

/** There are no pages of files here to link to: `blob` and `raw` are only known of files of the web. */
function toInclude(project: Project, { sha }: LintResult, file: IncludedFile): object {
  const { request } = file
  return {
    type: request.kind === 'project' ? 'file' : request.kind,
    location: locationOf(request),
    blob: null,
    raw: request.kind === 'remote' ? request.url : null,
    extra: request.kind === 'project' ? { project: request.project, ref: request.ref ?? 'HEAD' } : {},
    context_project: file.project ?? project.fullPath,
    context_sha: file.ref ?? sha ?? null,
  }
}

function locationOf(request: IncludeRequest): string {
  switch (request.kind) {
    case 'remote':
      return request.url
    case 'template':
      return request.name
    case 'component':
      return request.component
    default:
      return request.path
  }
}
