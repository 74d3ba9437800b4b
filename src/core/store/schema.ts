/**
 * The tables, as Kysely sees them. Times are milliseconds since 1970, flags are 0 or 1, JSON is text: the same values on
 * SQLite and on PostgreSQL. Row types never leave `store/`. The schema itself is `test/core/schema.sql`.
 */
import type { Generated, Selectable } from 'kysely'
import type { ForgeKind, ForgeState, ForkPolicy } from '../forge.js'
import type { JobStatus } from '../lifecycle/job-machine.js'
import type { LeaseStatus } from '../lifecycle/lease-machine.js'

/** 0 or 1. */
export type Flag = number

/** Every table with its columns. `Generated` ones have a default in the database. */
export interface Database {
  meta: { key: string; value: string }
  nodes: {
    id: string
    started_at: number
    seen_at: number
    http_url: string
    version: string
    draining_at: number | null
  }
  duties: { name: string; holder: string | null; fence: number; held_until: number }

  groups: {
    id: Generated<number>
    parent_id: number | null
    path: string
    full_path: string
    name: string
    kind: 'group' | 'user'
    owner_id: number | null
    description: string
    visibility: 'private' | 'internal' | 'public'
    created_at: number
    deleted_at: number | null
  }
  users: {
    id: Generated<number>
    username: string
    name: string
    email: string
    is_admin: Flag
    state: 'active' | 'blocked'
    project_id: number | null
    access_level: number | null
    created_at: number
    group_id: number | null
  }
  access_tokens: {
    id: Generated<number>
    user_id: number
    name: string
    description: string
    token_hash: string
    token_hint: string
    scopes: string
    expires_at: number | null
    revoked_at: number | null
    created_at: number
  }
  passwords: { user_id: number; hash: string; changed_at: number }
  password_links: { user_id: number; token_hash: string; expires_at: number }
  sessions: {
    id: Generated<number>
    user_id: number
    token_hash: string
    way: 'password' | 'openid'
    address: string
    agent: string
    created_at: number
    seen_at: number
    expires_at: number
    issuer: string | null
  }
  identities: {
    id: Generated<number>
    user_id: number
    issuer: string
    subject: string
    created_at: number
  }
  projects: {
    id: Generated<number>
    group_id: number
    path: string
    full_path: string
    name: string
    description: string
    visibility: 'private' | 'internal' | 'public'
    default_branch: string
    protections: string | null
    config_path: string
    timeout_s: number
    builds_enabled: Flag
    instance_runners_enabled: Flag
    group_runners_enabled: Flag
    cache_index: number
    mirrored: Flag
    merged_results: Flag
    followed: Flag
    auto_cancel: Flag
    forward_deployment: Flag
    delete_pipelines_s: number | null
    keep_latest: Generated<Flag>
    job_token_scope: Flag
    over_quota: Flag
    last_pipeline_iid: number
    last_request_iid: number
    instance_jobs: number
    created_at: number
    updated_at: number
    deleted_at: number | null
  }

  old_paths: { path: string; project_id: number; created_at: number }

  job_token_allowances: { project_id: number; kind: 'project' | 'group'; allowed_id: number }

  merge_requests: {
    id: Generated<number>
    project_id: number
    iid: number
    source_branch: string
    target_branch: string
    title: string
    description: string
    state: 'opened' | 'closed' | 'merged'
    user_id: number
    merge_error: string | null
    merge_commit_sha: string | null
    created_at: number
    updated_at: number
  }
  merge_train_cars: {
    id: Generated<number>
    project_id: number
    merge_request_id: number
    target_branch: string
    user_id: number
    status: 'idle' | 'fresh' | 'merging' | 'merged'
    source_sha: string
    base_sha: string | null
    sha: string | null
    pipeline_id: number | null
    created_at: number
    updated_at: number
    merged_at: number | null
  }
  project_subscriptions: {
    id: Generated<number>
    upstream_id: number
    project_id: number
    user_id: number
    created_at: number
  }
  subscribed_runs: {
    id: Generated<number>
    project_id: number
    user_id: number
    upstream_pipeline_id: number
    created_at: number
  }
  default_configs: { project_id: number; config: string }
  hook_secrets: { project_id: number; secret: Uint8Array; user_id: number; created_at: number }
  hook_deliveries: {
    id: Generated<number>
    project_id: number
    forge: string
    delivery: string | null
    event: string
    status: 'waiting' | 'done' | 'failed'
    claimed_until: number
    attempts: number
    pipeline_id: number | null
    message: string | null
    created_at: number
  }
  pushes: {
    id: Generated<number>
    project_id: number
    user_id: number | null
    node: string
    commands: string
    options: string
    pending: string | null
    attempts: number
    created_at: number
  }
  forge_connections: {
    project_id: number
    kind: ForgeKind
    base_url: string
    repository: string
    remote_id: string
    hook_id: string | null
    forks: ForkPolicy
    job_statuses: Flag
    user_id: number
    error: string | null
    failures: number
    paused_until: number
    created_at: number
    sealed: Uint8Array
  }
  forge_statuses: {
    id: Generated<number>
    project_id: number
    sha: string
    context: string
    pipeline_id: number
    job_id: number | null
    ref: string | null
    state: ForgeState
    description: string
    version: number
    sent_version: number
    attempts: number
    due_at: number
    message: string | null
    updated_at: number
  }
  fork_requests: {
    id: Generated<number>
    project_id: number
    number: number
    sha: string
    event: string
    status: 'waiting' | 'approved' | 'outdated'
    approved_by: number | null
    pipeline_id: number | null
    created_at: number
  }
  project_mirrors: { project_id: number; source: Uint8Array; fetched_at: number | null; error: string | null }

  pipelines: {
    id: Generated<number>
    project_id: number
    iid: number
    ref: string
    tag: Flag
    protected: Flag
    sha: string
    before_sha: string
    source: string
    status: JobStatus
    user_id: number | null
    name: string | null
    yaml_errors: string | null
    variables: Uint8Array | null
    on_new_commit: string
    on_job_failure: string
    auto_canceled_by: number | null
    source_job_id: number | null
    root_id: number | null
    followed: Flag
    created_at: number
    updated_at: number
    started_at: number | null
    finished_at: number | null
    duration_ms: number | null
  }
  schedule_pipelines: { pipeline_id: number; schedule_id: number }
  pipeline_mirrors: { job_id: number; pipeline_id: number }
  stages: {
    id: Generated<number>
    pipeline_id: number
    name: string
    position: number
    status: JobStatus
  }
  jobs: {
    id: Generated<number>
    pipeline_id: number
    project_id: number
    stage_id: number
    stage_position: number
    definition_id: number
    name: string
    kind: 'build' | 'bridge' | 'external'
    status: JobStatus
    run_when: string
    scheduling: 'stage' | 'dag'
    allow_failure: Flag
    retried: Flag
    retry_of: number | null
    enqueue_at_once: Flag
    lane_id: number | null
    in_queue: Flag
    priority: number
    fence: number
    void_offers: number
    runner_id: number | null
    manager_id: number | null
    user_id: number | null
    timeout_s: number | null
    timeout_source: string | null
    exit_code: number | null
    failure_reason: string | null
    failure_class: string | null
    failure_message: string | null
    token_issued_at: number | null
    token_expires_at: number | null
    created_at: number
    updated_at: number
    queued_at: number | null
    scheduled_at: number | null
    started_at: number | null
    finished_at: number | null
    erased_at: number | null
    artifacts_expired_at: number | null
    resource_key: string | null
    environment: string | null
    finish_work: Flag
    id_tokens: Flag
    payload_kept: Flag
    coverage: number | null
  }
  variables: {
    id: Generated<number>
    owner_type: 'instance' | 'group' | 'project'
    owner_id: number
    key: string
    environment_scope: string
    value: Uint8Array
    file: Flag
    protected: Flag
    masked: Flag
    hidden: Flag
    raw: Flag
    description: string | null
  }
  job_variables: { job_id: number; body: Uint8Array }
  verdicts: { job_id: number; decided_by: string; confidence: number; retryable: Flag; lines: string }
  external_statuses: { job_id: number; target_url: string | null; description: string | null }
  job_definitions: { id: Generated<number>; body: string }
  job_needs: { job_id: number; position: number; name: string; artifacts: Flag; optional: Flag }
  trace_pieces: { job_id: number; position: number; bytes: Buffer; hidden: number }
  payloads: { job_id: number; body: Uint8Array }
  dotenv_variables: { job_id: number; body: Uint8Array }

  demands: { id: Generated<number>; key: string; tags: string; protected: Flag; features: string }
  lanes: {
    id: Generated<number>
    project_id: number
    demand_id: number
    instance_share: number | null
    head_priority: number | null
    head_job_id: number | null
    touched_at: number
  }

  resource_groups: {
    id: Generated<number>
    project_id: number
    key: string
    process_mode: 'unordered' | 'oldest_first' | 'newest_first' | 'newest_ready_first'
    holder_job_id: number | null
    created_at: number
  }
  environments: {
    id: Generated<number>
    project_id: number
    name: string
    slug: string
    tier: string
    external_url: string | null
    state: 'available' | 'stopping' | 'stopped'
    auto_stop_at: number | null
    created_at: number
    updated_at: number
    description: string | null
  }
  deployments: {
    id: Generated<number>
    project_id: number
    environment_id: number
    job_id: number
    iid: number
    ref: string
    tag: Flag
    sha: string
    user_id: number | null
    on_stop: string | null
    status: 'created' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped' | 'blocked'
    created_at: number
    updated_at: number
    finished_at: number | null
  }
  protected_environments: { project_id: number; name: string; deployers: string }
  pipeline_schedules: {
    id: Generated<number>
    project_id: number
    owner_id: number
    description: string
    ref: string
    cron: string
    cron_timezone: string
    active: Flag
    variables: Uint8Array
    next_run_at: number | null
    last_pipeline_id: number | null
    created_at: number
    updated_at: number
  }
  releases: {
    id: Generated<number>
    project_id: number
    tag: string
    name: string
    description: string | null
    sha: string
    author_id: number | null
    released_at: number
    created_at: number
    updated_at: number
  }
  release_links: {
    id: Generated<number>
    project_id: number
    release_id: number
    name: string
    url: string
    filepath: string | null
    type: 'other' | 'runbook' | 'image' | 'package'
    created_at: number
  }
  triggers: {
    id: Generated<number>
    project_id: number
    owner_id: number
    description: string
    token_hash: string
    token_hint: string
    last_used_at: number | null
    created_at: number
    updated_at: number
  }

  runners: {
    id: Generated<number>
    type: 'instance' | 'group' | 'project'
    token_hash: string
    token_hint: string
    token_expires_at: number | null
    registered: Flag
    description: string
    maintenance_note: string | null
    active: Flag
    locked: Flag
    run_untagged: Flag
    protected_only: Flag
    tags: string
    maximum_timeout_s: number | null
    job_limit: number | null
    created_at: number
    contacted_at: number | null
  }
  runner_projects: { runner_id: number; project_id: number }
  runner_groups: { runner_id: number; group_id: number }
  runner_managers: {
    id: Generated<number>
    runner_id: number
    system_id: string
    name: string
    version: string
    revision: string
    platform: string
    architecture: string
    executor: string
    features: string
    ip_address: string | null
    created_at: number
    contacted_at: number
  }
  runner_cost_factors: { runner_id: number; public_factor: number; private_factor: number }
  usage: {
    namespace_id: number
    project_id: number
    month: string
    minutes: number
    duration_ms: number
    jobs: number
  }
  compute_limits: { namespace_id: number; minutes: number }
  members: {
    id: Generated<number>
    user_id: number
    project_id: number | null
    group_id: number | null
    access_level: number
    expires_at: number | null
    created_by_id: number | null
    created_at: number
    issuer: string | null
  }
  group_shares: {
    id: Generated<number>
    project_id: number | null
    group_id: number | null
    shared_with_id: number
    access_level: number
    expires_at: number | null
    created_at: number
  }
  registration_tokens: {
    id: Generated<number>
    token_hash: string
    token_hint: string
    project_id: number | null
    group_id: number | null
    created_at: number
    sealed: Uint8Array | null
  }

  leases: {
    id: Generated<number>
    job_id: number
    fence: number
    project_id: number
    runner_id: number
    manager_id: number
    instance_runner: Flag
    node: string
    door: string
    request_id: string | null
    status: LeaseStatus
    term_ms: number
    written: Flag
    offered_at: number
    accept_by: number | null
    accepted_at: number | null
    expires_at: number | null
    /** Starts of the node since the runner was last heard from. */
    starts: Generated<number>
    ended_at: number | null
    end_reason: string | null
    excluded_until: number | null
    cancel_revision: number
    cancel_mode: string | null
    cancel_at: number | null
    cancel_acked: number
    report: string | null
    report_at: number | null
  }

  traces: {
    job_id: number
    length: number
    crc32: number
    node: string
    incomplete: Flag
    mismatch: Flag
    debug: Flag
    updated_at: number
  }
  artifacts: {
    id: Generated<number>
    job_id: number
    project_id: number
    type: string
    format: string
    filename: string
    size_bytes: number
    sha256: string
    location: string
    expires_at: number | null
    created_at: number
  }
  reports: { job_id: number; kind: string; body: string }
  caches: {
    id: Generated<number>
    project_id: number
    key: string
    size_bytes: number
    sha256: string
    location: string
    created_at: number
    used_at: number
  }
  webhooks: {
    id: Generated<number>
    project_id: number
    name: string
    description: string
    sealed: Uint8Array
    job_events: Flag
    pipeline_events: Flag
    verifies_tls: Flag
    failures: number
    disabled_until: number | null
    created_at: number
  }
  webhook_deliveries: {
    id: Generated<number>
    webhook_id: number
    event: 'Job Hook' | 'Pipeline Hook'
    uuid: string
    body: Uint8Array
    attempts: number
    due_at: number
  }
  removals: { id: Generated<number>; kind: 'trace' | 'artifact' | 'cache' | 'project' | 'group'; place: string }

  events: {
    id: Generated<number>
    at: number
    kind: string
    project_id: number | null
    pipeline_id: number | null
    job_id: number | null
    runner_id: number | null
    data: string
  }
  audit_entries: {
    id: number
    at: number
    kind: string
    actor_id: number | null
    actor_name: string | null
    project_id: number | null
    runner_id: number | null
    data: string
    key_name: string
    digest: string
  }
  exporter_cursors: {
    name: string
    event_id: number
    holder: string | null
    fence: Generated<number>
    held_until: Generated<number>
  }
  background_tasks: {
    name: string
    paused: Flag
    interval_ms: number
    cron: string | null
    last_run_at: number | null
    next_run_at: number | null
    last_duration_ms: number | null
    last_result: string | null
  }
}

/** A row as a query returns it. */
export type Row<Table extends keyof Database> = Selectable<Database[Table]>
