/**
 * The main entities of `/api/v4`, as the OpenAPI document describes them. What converts to one is checked against its
 * type by the compiler, and what a server answers against its schema by a test; nothing loads this while a server runs.
 */
import * as z from 'zod'
import { jobStatuses } from '../core/lifecycle/job-machine.js'

const id = z.int().positive()
const time = z.string().meta({ format: 'date-time', description: 'ISO 8601 in UTC, with milliseconds' })
const url = z.string().meta({ format: 'uri' })
const seconds = z.number().meta({ description: 'Seconds' })
const visibility = z.enum(['private', 'internal', 'public'])
const runnerState = z.enum(['online', 'offline', 'stale', 'never_contacted', 'paused'])

export const ErrorEntity = z
  .object({
    message: z
      .union([z.string(), z.record(z.string(), z.unknown())])
      .optional()
      .meta({ description: 'What is wrong: a sentence, or sentences by the fields of a setting' }),
    error: z.string().optional().meta({ description: 'What is wrong with a parameter, or with the scope of a token' }),
    error_description: z.string().optional(),
    scope: z.string().optional().meta({ description: 'The scopes that would have done' }),
  })
  .meta({ description: 'Why a request was refused' })
export type ErrorEntity = z.infer<typeof ErrorEntity>

export const UserEntity = z
  .object({
    id,
    username: z.string(),
    name: z.string(),
    state: z.enum(['active', 'blocked']),
    locked: z.boolean(),
    avatar_url: z.null(),
    web_url: url,
  })
  .meta({ description: 'A user as others see them' })
export type UserEntity = z.infer<typeof UserEntity>

export const CommitEntity = z
  .object({
    id: z.string(),
    short_id: z.string(),
    created_at: z.string(),
    parent_ids: z.array(z.string()).readonly(),
    title: z.string(),
    message: z.string(),
    author_name: z.string(),
    author_email: z.string(),
    authored_date: z.string(),
    committer_name: z.string(),
    committer_email: z.string(),
    committed_date: z.string(),
    trailers: z.record(z.string(), z.string()),
    extended_trailers: z.record(z.string(), z.array(z.string())),
    web_url: url,
  })
  .meta({ description: 'A commit' })
export type CommitEntity = z.infer<typeof CommitEntity>

export const PipelineBasicEntity = z
  .object({
    id,
    iid: id.meta({ description: 'Its number within the project' }),
    project_id: id,
    sha: z.string(),
    ref: z.string(),
    status: z.enum(jobStatuses),
    source: z.string().meta({ description: 'What made it: `push`, `api`, `schedule`, …' }),
    created_at: time,
    updated_at: time,
    web_url: url,
  })
  .meta({ description: 'A pipeline as lists and jobs show it' })
export type PipelineBasicEntity = z.infer<typeof PipelineBasicEntity>

export const CommitStatsEntity = z
  .object({ additions: z.int(), deletions: z.int(), total: z.int() })
  .meta({ description: 'Lines that a commit changes' })
export type CommitStatsEntity = z.infer<typeof CommitStatsEntity>

export const CommitDetailEntity = CommitEntity.extend({
  stats: CommitStatsEntity.optional().meta({ description: 'Not with `stats=false`' }),
  status: z.enum(jobStatuses).nullable().meta({ description: 'Of its newest pipeline' }),
  project_id: id,
  last_pipeline: PipelineBasicEntity.nullable(),
}).meta({ description: 'A commit by itself' })
export type CommitDetailEntity = z.infer<typeof CommitDetailEntity>

export const PipelineEntity = PipelineBasicEntity.extend({
  before_sha: z.string(),
  tag: z.boolean(),
  yaml_errors: z.string().nullable(),
  user: UserEntity.nullable(),
  started_at: time.nullable(),
  finished_at: time.nullable(),
  committed_at: z.null(),
  duration: z.int().nullable().meta({ description: 'Whole seconds that jobs of it have run' }),
  queued_duration: z.int().nullable().meta({ description: 'Whole seconds until something ran' }),
  coverage: z.string().nullable().meta({ description: 'Percent' }),
  detailed_status: z.object({
    icon: z.string(),
    text: z.string(),
    label: z.string(),
    group: z.string(),
    tooltip: z.string(),
    has_details: z.boolean(),
    details_path: z.string(),
    illustration: z.null(),
    favicon: z.string(),
  }),
  name: z.string().nullable(),
}).meta({ description: 'A pipeline by itself' })
export type PipelineEntity = z.infer<typeof PipelineEntity>

const jobExecution = z.enum(['active', 'idle']).meta({ description: 'Whether it has a job' })

export const RunnerEntity = z
  .object({
    id,
    description: z.string().nullable(),
    ip_address: z.string().nullable(),
    active: z.boolean().meta({ description: 'The opposite of `paused`' }),
    paused: z.boolean(),
    is_shared: z.boolean(),
    runner_type: z.enum(['instance_type', 'group_type', 'project_type']),
    name: z.string().nullable(),
    online: z.boolean(),
    created_at: time,
    status: runnerState,
    job_execution_status: jobExecution,
  })
  .meta({ description: 'A runner as lists show it' })
export type RunnerEntity = z.infer<typeof RunnerEntity>

export const RunnerManagerEntity = z
  .object({
    id,
    system_id: z.string(),
    version: z.string().nullable(),
    revision: z.string().nullable(),
    platform: z.string().nullable(),
    architecture: z.string().nullable(),
    created_at: time,
    contacted_at: time,
    ip_address: z.string().nullable(),
    status: runnerState,
    job_execution_status: jobExecution,
  })
  .meta({ description: 'One process that uses a runner' })
export type RunnerManagerEntity = z.infer<typeof RunnerManagerEntity>

export const ProjectBasicEntity = z
  .object({
    id,
    description: z.string(),
    name: z.string(),
    name_with_namespace: z.string(),
    path: z.string(),
    path_with_namespace: z.string(),
    created_at: time,
    web_url: url,
  })
  .meta({ description: 'A project as other things show it' })
export type ProjectBasicEntity = z.infer<typeof ProjectBasicEntity>

export const NamespaceEntity = z
  .object({
    id,
    name: z.string(),
    path: z.string(),
    kind: z.enum(['group', 'user']),
    full_path: z.string(),
    parent_id: id.nullable(),
    avatar_url: z.null(),
    web_url: url,
  })
  .meta({ description: 'Where projects lie: a group, or a user’s own place' })
export type NamespaceEntity = z.infer<typeof NamespaceEntity>

const runners_token = z
  .string()
  .nullable()
  .optional()
  .meta({ description: 'For those who may administer it: what runners register with; null where only a hash is kept' })
const day = z.string().meta({ format: 'date', description: 'The beginning of a day in UTC' })

export const MemberEntity = UserEntity.extend({
  access_level: z
    .int()
    .meta({ description: '10 guest, 15 planner, 20 reporter, 30 developer, 40 maintainer, 50 owner' }),
  created_at: time,
  expires_at: day.nullable(),
  membership_state: z.literal('active'),
  created_by: UserEntity.optional(),
}).meta({ description: 'A member of a project or group' })
export type MemberEntity = z.infer<typeof MemberEntity>

export const ShareEntity = z
  .object({
    group_id: id,
    group_name: z.string(),
    group_full_path: z.string(),
    group_access_level: z.int(),
    expires_at: day.nullable(),
  })
  .meta({ description: 'A group that is let into a project or group' })
export type ShareEntity = z.infer<typeof ShareEntity>

export const GroupEntity = z
  .object({
    id,
    web_url: url,
    name: z.string(),
    path: z.string(),
    description: z.string(),
    visibility,
    created_at: time,
    avatar_url: z.null(),
    full_name: z.string(),
    full_path: z.string(),
    parent_id: id.nullable(),
    runners_token,
    shared_with_groups: z.array(ShareEntity).optional(),
  })
  .meta({ description: 'A group' })
export type GroupEntity = z.infer<typeof GroupEntity>

export const ProjectDetailsEntity = ProjectBasicEntity.extend({
  default_branch: z.string(),
  tag_list: z.array(z.string()),
  topics: z.array(z.string()),
  ssh_url_to_repo: z.null(),
  http_url_to_repo: url,
  readme_url: z.null(),
  avatar_url: z.null(),
  forks_count: z.int(),
  star_count: z.int(),
  last_activity_at: time,
  visibility,
  namespace: NamespaceEntity.nullable(),
}).meta({ description: 'A project as lists of others show it' })
export type ProjectDetailsEntity = z.infer<typeof ProjectDetailsEntity>

export const ProjectEntity = ProjectDetailsEntity.extend({
  shared_with_groups: z.array(ShareEntity).optional(),
  _links: z.object({ self: url }),
  archived: z.boolean(),
  empty_repo: z.boolean(),
  jobs_enabled: z.boolean(),
  builds_access_level: z.enum(['enabled', 'disabled']),
  build_timeout: seconds,
  ci_config_path: z.string(),
  auto_cancel_pending_pipelines: z.enum(['enabled', 'disabled']),
  merge_pipelines_enabled: z.boolean(),
  ci_forward_deployment_enabled: z.boolean(),
  ci_delete_pipelines_in_seconds: seconds.nullable(),
  keep_latest_artifact: z.boolean(),
  ci_job_token_scope_enabled: z.boolean(),
  public_jobs: z.boolean(),
  shared_runners_enabled: z.boolean(),
  group_runners_enabled: z.boolean(),
  import_url: url.nullable(),
  mirror: z.boolean(),
  updated_at: time,
  runners_token,
}).meta({ description: 'A project by itself' })
export type ProjectEntity = z.infer<typeof ProjectEntity>

export const RunnerDetailsEntity = RunnerEntity.extend({
  tag_list: z.array(z.string()),
  run_untagged: z.boolean(),
  locked: z.boolean(),
  maximum_timeout: seconds.nullable(),
  job_limit: z.int().optional(),
  access_level: z.enum(['not_protected', 'ref_protected']),
  version: z.string().nullable(),
  revision: z.string().nullable(),
  platform: z.string().nullable(),
  architecture: z.string().nullable(),
  contacted_at: time.nullable(),
  maintenance_note: z.string().nullable(),
  projects: z.array(ProjectDetailsEntity),
  groups: z.array(z.object({ id, name: z.string(), web_url: url })),
}).meta({ description: 'A runner by itself, with whom it serves' })
export type RunnerDetailsEntity = z.infer<typeof RunnerDetailsEntity>

export const ReleaseLinkEntity = z
  .object({
    id,
    name: z.string(),
    url,
    direct_asset_url: url.meta({ description: 'Stays the same when the address changes, if the link has a path' }),
    link_type: z.enum(['other', 'runbook', 'image', 'package']),
  })
  .meta({ description: 'A link of a release' })
export type ReleaseLinkEntity = z.infer<typeof ReleaseLinkEntity>

export const ReleaseEntity = z
  .object({
    name: z.string(),
    tag_name: z.string(),
    description: z.string().nullable(),
    created_at: time,
    released_at: time,
    author: UserEntity.optional(),
    commit: CommitEntity.nullable(),
    upcoming_release: z.boolean(),
    commit_path: z.string(),
    tag_path: z.string(),
    assets: z.object({ count: z.int(), sources: z.array(z.never()), links: z.array(ReleaseLinkEntity) }),
    evidences: z.array(z.never()),
    _links: z.object({ self: url }),
  })
  .meta({ description: 'A release' })
export type ReleaseEntity = z.infer<typeof ReleaseEntity>

export const JobEntity = z
  .object({
    id,
    status: z.enum(jobStatuses),
    stage: z.string(),
    name: z.string(),
    ref: z.string(),
    tag: z.boolean(),
    coverage: z.number().nullable().meta({ description: 'Percent' }),
    allow_failure: z.boolean(),
    created_at: time,
    started_at: time.nullable(),
    finished_at: time.nullable(),
    erased_at: time.nullable(),
    duration: seconds.nullable(),
    queued_duration: seconds.nullable(),
    user: UserEntity.nullable(),
    commit: CommitEntity.nullable(),
    pipeline: PipelineBasicEntity,
    failure_reason: z.string().optional().meta({ description: 'Only of a job that has failed' }),
    web_url: url,
    project: z.object({ ci_job_token_scope_enabled: z.boolean() }),
    artifacts_file: z.object({ filename: z.string(), size: z.int() }).optional(),
    artifacts: z.array(
      z.object({ file_type: z.string(), size: z.int(), filename: z.string(), file_format: z.string() }),
    ),
    runner: RunnerEntity.nullable(),
    runner_manager: RunnerManagerEntity.nullable(),
    artifacts_expire_at: time.nullable(),
    archived: z.boolean(),
    tag_list: z.array(z.string()),
  })
  .meta({ description: 'A job' })
export type JobEntity = z.infer<typeof JobEntity>

export const VariableEntity = z
  .object({
    variable_type: z.enum(['env_var', 'file']),
    key: z.string(),
    value: z.string().nullable().meta({ description: 'Null: it is hidden' }),
    hidden: z.boolean(),
    protected: z.boolean(),
    masked: z.boolean(),
    raw: z.boolean(),
    environment_scope: z.string().optional(),
    description: z.string().nullable(),
  })
  .meta({ description: 'A variable that people have set' })
export type VariableEntity = z.infer<typeof VariableEntity>
