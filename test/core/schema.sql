CREATE TABLE "access_tokens" ("id" integer primary key autoincrement,
  "user_id" bigint not null references "users" ("id"),
  "name" text not null,
  "description" text not null,
  "token_hash" text not null unique,
  "token_hint" text not null,
  "scopes" text not null,
  "expires_at" bigint,
  "revoked_at" bigint,
  "created_at" bigint not null);

CREATE TABLE "artifacts" ("id" integer primary key autoincrement,
  "job_id" bigint not null references "jobs" ("id"),
  "project_id" bigint not null,
  "type" text not null,
  "format" text not null,
  "filename" text not null,
  "size_bytes" bigint not null,
  "sha256" text not null,
  "location" text not null,
  "expires_at" bigint,
  "created_at" bigint not null,
  constraint "artifacts_identity" unique ("job_id",
  "type"));

CREATE INDEX artifacts_by_location on artifacts (location);

CREATE INDEX artifacts_by_project on artifacts (project_id) where type <> 'trace';

CREATE INDEX artifacts_expiring on artifacts (expires_at) where expires_at is not null;

CREATE TABLE "audit_entries" ("id" bigint primary key,
  "at" bigint not null,
  "kind" text not null,
  "actor_id" bigint,
  "actor_name" text,
  "project_id" bigint,
  "runner_id" bigint,
  "data" text not null,
  "key_name" text not null,
  "digest" text not null);

CREATE INDEX audit_by_actor on audit_entries (actor_id, id);

CREATE INDEX audit_by_kind on audit_entries (kind, id);

CREATE TABLE "background_tasks" ("name" text primary key,
  "paused" integer not null check ("paused" in (0, 1)),
  "interval_ms" integer not null,
  "cron" text,
  "last_run_at" bigint,
  "next_run_at" bigint,
  "last_duration_ms" bigint,
  "last_result" text);

CREATE TABLE "caches" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "key" text not null,
  "size_bytes" bigint not null,
  "sha256" text not null,
  "location" text not null,
  "created_at" bigint not null,
  "used_at" bigint not null,
  constraint "caches_identity" unique ("project_id",
  "key"));

CREATE INDEX caches_by_location on caches (location);

CREATE TABLE "compute_limits" ("namespace_id" bigint primary key references "groups" ("id") on delete cascade,
  "minutes" bigint not null);

CREATE TABLE "default_configs" ("project_id" bigint primary key references "projects" ("id"),
  "config" text not null);

CREATE TABLE "demands" ("id" integer primary key autoincrement,
  "key" text not null unique,
  "tags" text not null,
  "protected" integer not null check ("protected" in (0, 1)),
  "features" text not null);

CREATE TABLE "deployments" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "environment_id" bigint not null references "environments" ("id"),
  "job_id" bigint not null unique references "jobs" ("id"),
  "iid" bigint not null,
  "ref" text not null,
  "tag" integer not null,
  "sha" text not null,
  "user_id" bigint,
  "on_stop" text,
  "status" text not null check ("status" in ('created', 'running', 'success', 'failed', 'canceled', 'skipped', 'blocked')),
  "created_at" bigint not null,
  "updated_at" bigint not null,
  "finished_at" bigint);

CREATE INDEX deployments_by_environment on deployments (environment_id, status, id);

CREATE UNIQUE INDEX deployments_by_iid on deployments (project_id, iid);

CREATE INDEX deployments_by_status on deployments (project_id, status, iid);

CREATE INDEX deployments_of_environment on deployments (environment_id, id);

CREATE TABLE "dotenv_variables" ("job_id" bigint primary key references "jobs" ("id"),
  "body" blob not null);

CREATE TABLE "duties" ("name" text primary key,
  "holder" text,
  "fence" bigint not null,
  "held_until" bigint not null);

CREATE TABLE "environments" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "name" text not null,
  "slug" text not null,
  "tier" text not null,
  "external_url" text,
  "state" text not null check ("state" in ('available', 'stopping', 'stopped')),
  "auto_stop_at" bigint,
  "created_at" bigint not null,
  "updated_at" bigint not null,
  "description" text,
  constraint "environments_identity" unique ("project_id",
  "name"));

CREATE INDEX environments_auto_stop on environments (auto_stop_at) where auto_stop_at is not null and state <> 'stopped';

CREATE TABLE "events" ("id" integer primary key autoincrement,
  "at" bigint not null,
  "kind" text not null,
  "project_id" bigint,
  "pipeline_id" bigint,
  "job_id" bigint,
  "runner_id" bigint,
  "data" text not null);

CREATE INDEX events_by_job on events (job_id, id) where job_id is not null;

CREATE TABLE "exporter_cursors" ("name" text primary key,
  "event_id" bigint not null,
  "holder" text,
  "fence" bigint default 0 not null,
  "held_until" bigint default 0 not null);

CREATE TABLE "external_statuses" ("job_id" bigint primary key references "jobs" ("id"),
  "target_url" text,
  "description" text);

CREATE TABLE "forge_connections" ("project_id" bigint primary key references "projects" ("id"),
  "kind" text not null check (kind in ('github', 'gitlab', 'gitea')),
  "base_url" text not null,
  "repository" text not null,
  "remote_id" text not null,
  "hook_id" text,
  "forks" text not null check (forks in ('never', 'approve', 'always')),
  "job_statuses" integer not null check (job_statuses in (0, 1)),
  "user_id" bigint not null references "users" ("id"),
  "error" text,
  "failures" integer not null,
  "paused_until" bigint not null,
  "created_at" bigint not null,
  "sealed" blob not null,
  constraint "forge_connections_remote" unique ("base_url",
  "remote_id"));

CREATE TABLE "forge_statuses" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "sha" text not null,
  "context" text not null,
  "pipeline_id" bigint not null,
  "job_id" bigint,
  "ref" text,
  "state" text not null,
  "description" text not null,
  "version" bigint not null,
  "sent_version" bigint not null,
  "attempts" integer not null,
  "due_at" bigint not null,
  "message" text,
  "updated_at" bigint not null,
  constraint "forge_statuses_name" unique ("project_id",
  "sha",
  "context"));

CREATE INDEX forge_statuses_by_pipeline on forge_statuses (pipeline_id);

CREATE INDEX forge_statuses_by_project on forge_statuses (project_id, id);

CREATE INDEX forge_statuses_due on forge_statuses (project_id, due_at) where sent_version < version;

CREATE TABLE "fork_requests" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "number" bigint not null,
  "sha" text not null,
  "event" text not null,
  "status" text not null check (status in ('waiting', 'approved', 'outdated')),
  "approved_by" bigint references "users" ("id"),
  "pipeline_id" bigint,
  "created_at" bigint not null,
  constraint "fork_requests_head" unique ("project_id",
  "number",
  "sha"));

CREATE INDEX fork_requests_by_project on fork_requests (project_id, id);

CREATE TABLE "group_shares" ("id" integer primary key autoincrement,
  "project_id" bigint references "projects" ("id"),
  "group_id" bigint references "groups" ("id"),
  "shared_with_id" bigint not null references "groups" ("id"),
  "access_level" bigint not null check (access_level in (10, 15, 20, 30, 40, 50)),
  "expires_at" bigint,
  "created_at" bigint not null,
  constraint "group_shares_place" check ((project_id is null) <> (group_id is null)),
  constraint "group_shares_of_project" unique ("project_id",
  "shared_with_id"),
  constraint "group_shares_of_group" unique ("group_id",
  "shared_with_id"));

CREATE INDEX group_shares_by_guest on group_shares (shared_with_id, group_id, project_id);

CREATE TABLE "groups" ("id" integer primary key autoincrement,
  "parent_id" bigint references "groups" ("id"),
  "path" text not null,
  "full_path" text not null,
  "name" text not null,
  "kind" text not null check ("kind" in ('group', 'user')),
  "owner_id" bigint references "users" ("id"),
  "description" text not null,
  "visibility" text not null check ("visibility" in ('private', 'internal', 'public')),
  "created_at" bigint not null,
  "deleted_at" bigint);

CREATE UNIQUE INDEX groups_by_path on groups (lower(full_path));

CREATE TABLE "hook_deliveries" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "forge" text not null,
  "delivery" text,
  "event" text not null,
  "status" text not null check ("status" in ('waiting', 'done', 'failed')),
  "claimed_until" bigint not null,
  "attempts" integer not null,
  "pipeline_id" bigint,
  "message" text,
  "created_at" bigint not null,
  constraint "hook_deliveries_id" unique ("project_id",
  "forge",
  "delivery"));

CREATE INDEX hook_deliveries_by_project on hook_deliveries (project_id, id);

CREATE INDEX hook_deliveries_waiting on hook_deliveries (id) where status = 'waiting';

CREATE TABLE "hook_secrets" ("project_id" bigint primary key references "projects" ("id"),
  "secret" blob not null,
  "user_id" bigint not null references "users" ("id"),
  "created_at" bigint not null);

CREATE TABLE "identities" ("id" integer primary key autoincrement,
  "user_id" bigint not null references "users" ("id"),
  "issuer" text not null,
  "subject" text not null,
  "created_at" bigint not null,
  constraint "identities_once" unique ("issuer",
  "subject"),
  constraint "identities_by_user" unique ("user_id",
  "issuer"));

CREATE TABLE "job_definitions" ("id" integer primary key autoincrement,
  "body" text not null);

CREATE TABLE "job_needs" ("job_id" bigint not null references "jobs" ("id"),
  "position" integer not null,
  "name" text not null,
  "artifacts" integer not null check ("artifacts" in (0, 1)),
  "optional" integer not null check ("optional" in (0, 1)),
  constraint "job_needs_key" primary key ("job_id",
  "position"));

CREATE TABLE "job_token_allowances" ("project_id" bigint not null references "projects" ("id"),
  "kind" text not null check ("kind" in ('project', 'group')),
  "allowed_id" bigint not null,
  constraint "job_token_allowances_key" primary key ("project_id",
  "kind",
  "allowed_id"));

CREATE TABLE "job_variables" ("job_id" bigint primary key references "jobs" ("id"),
  "body" blob not null);

CREATE TABLE "jobs" ("id" integer primary key autoincrement,
  "pipeline_id" bigint not null references "pipelines" ("id"),
  "project_id" bigint not null,
  "stage_id" bigint not null,
  "stage_position" integer not null,
  "definition_id" bigint not null,
  "name" text not null,
  "kind" text not null check ("kind" in ('build', 'bridge', 'external')),
  "status" text not null check ("status" in ('created', 'waiting_for_resource', 'preparing', 'waiting_for_callback', 'pending', 'running', 'canceling', 'success', 'failed', 'canceled', 'skipped', 'manual', 'scheduled')),
  "run_when" text not null,
  "scheduling" text not null check ("scheduling" in ('stage', 'dag')),
  "allow_failure" integer not null check ("allow_failure" in (0, 1)),
  "retried" integer not null check ("retried" in (0, 1)),
  "retry_of" bigint,
  "enqueue_at_once" integer not null check ("enqueue_at_once" in (0, 1)),
  "lane_id" bigint,
  "in_queue" integer not null check ("in_queue" in (0, 1)),
  "priority" integer not null,
  "fence" bigint not null,
  "void_offers" integer not null,
  "runner_id" bigint,
  "manager_id" bigint,
  "user_id" bigint,
  "timeout_s" integer,
  "timeout_source" text,
  "exit_code" integer,
  "failure_reason" text,
  "failure_class" text,
  "failure_message" text,
  "token_issued_at" bigint,
  "token_expires_at" bigint,
  "created_at" bigint not null,
  "updated_at" bigint not null,
  "queued_at" bigint,
  "scheduled_at" bigint,
  "started_at" bigint,
  "finished_at" bigint,
  "erased_at" bigint,
  "artifacts_expired_at" bigint,
  "resource_key" text,
  "environment" text,
  "coverage" double precision,
  "finish_work" integer not null check ("finish_work" in (0, 1)),
  "id_tokens" integer not null check ("id_tokens" in (0, 1)),
  "payload_kept" integer default 0 not null,
  constraint "jobs_queue" check (in_queue = 0 or (status = 'pending' and lane_id is not null)),
  constraint "jobs_reason" check (failure_reason is null or status = 'failed'),
  constraint jobs_finished check ((finished_at is not null) = (status in ('success', 'failed', 'canceled'))));

CREATE INDEX jobs_by_manager on jobs (manager_id, status, id) where status in ('success', 'failed', 'canceled') and manager_id is not null;

CREATE INDEX jobs_by_pipeline on jobs (pipeline_id, retried, stage_position, id);

CREATE INDEX jobs_by_project on jobs (project_id, id);

CREATE INDEX jobs_by_runner on jobs (runner_id, status, id) where status in ('success', 'failed', 'canceled') and runner_id is not null;

CREATE UNIQUE INDEX jobs_current_name on jobs (pipeline_id, name) where retried = 0 and kind <> 'external';

CREATE INDEX jobs_due on jobs (scheduled_at, id) where status = 'scheduled';

CREATE INDEX jobs_finish_work on jobs (id) where finish_work = 1;

CREATE INDEX jobs_open on jobs (status, project_id, id) where status in ('created', 'waiting_for_resource', 'preparing', 'waiting_for_callback', 'pending', 'running', 'canceling', 'scheduled');

CREATE INDEX jobs_over on jobs (project_id, status, id) where status in ('success', 'failed', 'canceled', 'skipped', 'manual');

CREATE INDEX jobs_preparing on jobs (id) where status = 'preparing';

CREATE INDEX jobs_queue_order on jobs (lane_id, priority desc, id) where in_queue = 1;

CREATE INDEX jobs_waiting_for_needs on jobs (pipeline_id) where status = 'created' and scheduling = 'dag';

CREATE INDEX jobs_wanting_resource on jobs (project_id, resource_key, id) where resource_key is not null and status in ('created', 'scheduled', 'waiting_for_resource');

CREATE TABLE "lanes" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "demand_id" bigint not null references "demands" ("id"),
  "instance_share" integer,
  "head_priority" integer,
  "head_job_id" bigint,
  "touched_at" bigint not null,
  constraint "lanes_identity" unique ("project_id",
  "demand_id"));

CREATE INDEX lanes_for_instance on lanes (demand_id, instance_share, head_priority desc, head_job_id) where head_job_id is not null and instance_share is not null;

CREATE INDEX lanes_waiting on lanes (head_job_id) where head_job_id is not null;

CREATE TABLE "leases" ("id" integer primary key autoincrement,
  "job_id" bigint not null references "jobs" ("id"),
  "fence" bigint not null,
  "project_id" bigint not null,
  "runner_id" bigint not null,
  "manager_id" bigint not null,
  "instance_runner" integer not null check ("instance_runner" in (0, 1)),
  "node" text not null,
  "door" text not null,
  "request_id" text,
  "status" text not null check ("status" in ('offered', 'held', 'released', 'refused', 'expired')),
  "term_ms" integer not null,
  "written" integer not null check ("written" in (0, 1)),
  "offered_at" bigint not null,
  "accept_by" bigint,
  "accepted_at" bigint,
  "expires_at" bigint,
  "ended_at" bigint,
  "end_reason" text,
  "excluded_until" bigint,
  "cancel_revision" integer not null,
  "cancel_mode" text,
  "cancel_at" bigint,
  "cancel_acked" integer not null,
  "report" text,
  "report_at" bigint,
  "starts" integer default 0 not null,
  constraint "leases_identity" unique ("job_id",
  "fence"),
  constraint "leases_offered" check (status <> 'offered' or accept_by is not null),
  constraint "leases_held" check (status <> 'held' or expires_at is not null),
  constraint leases_ended check ((ended_at is not null) = (status in ('released', 'refused', 'expired'))));

CREATE INDEX leases_by_accept_by on leases (accept_by) where status = 'offered';

CREATE INDEX leases_by_expiry on leases (expires_at) where status = 'held';

CREATE INDEX leases_by_manager on leases (manager_id) where status in ('offered', 'held');

CREATE INDEX leases_excluded on leases (manager_id, excluded_until) where excluded_until is not null;

CREATE UNIQUE INDEX leases_one_open on leases (job_id) where status in ('offered', 'held');

CREATE INDEX leases_reported on leases (report_at) where status = 'held' and report is not null;

CREATE TABLE "members" ("id" integer primary key autoincrement,
  "user_id" bigint not null references "users" ("id"),
  "project_id" bigint references "projects" ("id"),
  "group_id" bigint references "groups" ("id"),
  "access_level" bigint not null check (access_level in (10, 15, 20, 30, 40, 50)),
  "expires_at" bigint,
  "created_by_id" bigint references "users" ("id"),
  "created_at" bigint not null,
  "issuer" text,
  constraint "members_place" check ((project_id is null) <> (group_id is null)),
  constraint "members_of_project" unique ("project_id",
  "user_id"),
  constraint "members_of_group" unique ("group_id",
  "user_id"));

CREATE INDEX members_by_user on members (user_id, group_id, project_id);

CREATE TABLE "merge_requests" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "iid" bigint not null,
  "source_branch" text not null,
  "target_branch" text not null,
  "title" text not null,
  "description" text not null,
  "state" text not null check ("state" in ('opened', 'closed', 'merged')),
  "user_id" bigint not null references "users" ("id"),
  "merge_error" text,
  "merge_commit_sha" text,
  "created_at" bigint not null,
  "updated_at" bigint not null,
  constraint "merge_requests_iid" unique ("project_id",
  "iid"));

CREATE UNIQUE INDEX merge_requests_open on merge_requests (project_id, source_branch, target_branch) where state = 'opened';

CREATE TABLE "merge_train_cars" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "merge_request_id" bigint not null unique references "merge_requests" ("id"),
  "target_branch" text not null,
  "user_id" bigint not null references "users" ("id"),
  "status" text not null check ("status" in ('idle', 'fresh', 'merging', 'merged')),
  "source_sha" text not null,
  "base_sha" text,
  "sha" text,
  "pipeline_id" bigint,
  "created_at" bigint not null,
  "updated_at" bigint not null,
  "merged_at" bigint);

CREATE INDEX merge_train_cars_active on merge_train_cars (project_id, target_branch, id) where status <> 'merged';

CREATE INDEX merge_train_cars_by_project on merge_train_cars (project_id, id);

CREATE TABLE "meta" ("key" text primary key,
  "value" text not null);

CREATE TABLE "nodes" ("id" text primary key,
  "started_at" bigint not null,
  "seen_at" bigint not null,
  "http_url" text not null,
  "version" text default '' not null,
  "draining_at" bigint);

CREATE TABLE "old_paths" ("path" text primary key,
  "project_id" bigint not null references "projects" ("id") on delete cascade,
  "created_at" bigint not null);

CREATE INDEX "old_paths_by_project" on "old_paths" ("project_id");

CREATE TABLE "password_links" ("user_id" bigint primary key references "users" ("id"),
  "token_hash" text not null unique,
  "expires_at" bigint not null);

CREATE TABLE "passwords" ("user_id" bigint primary key references "users" ("id"),
  "hash" text not null,
  "changed_at" bigint not null);

CREATE TABLE "payloads" ("job_id" bigint primary key references "jobs" ("id"),
  "body" blob not null);

CREATE TABLE "pipeline_mirrors" ("job_id" bigint primary key references "jobs" ("id"),
  "pipeline_id" bigint not null references "pipelines" ("id"));

CREATE INDEX pipeline_mirrors_by_pipeline on pipeline_mirrors (pipeline_id);

CREATE TABLE "pipeline_schedules" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "owner_id" bigint not null references "users" ("id"),
  "description" text not null,
  "ref" text not null,
  "cron" text not null,
  "cron_timezone" text not null,
  "active" integer not null check ("active" in (0, 1)),
  "variables" blob not null,
  "next_run_at" bigint,
  "last_pipeline_id" bigint,
  "created_at" bigint not null,
  "updated_at" bigint not null);

CREATE INDEX pipeline_schedules_due on pipeline_schedules (next_run_at) where active = 1;

CREATE TABLE "pipelines" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "iid" bigint not null,
  "ref" text not null,
  "tag" integer not null check ("tag" in (0, 1)),
  "protected" integer not null check ("protected" in (0, 1)),
  "sha" text not null,
  "before_sha" text not null,
  "source" text not null,
  "status" text not null check ("status" in ('created', 'waiting_for_resource', 'preparing', 'waiting_for_callback', 'pending', 'running', 'canceling', 'success', 'failed', 'canceled', 'skipped', 'manual', 'scheduled')),
  "user_id" bigint references "users" ("id"),
  "name" text,
  "yaml_errors" text,
  "variables" blob,
  "on_new_commit" text not null,
  "on_job_failure" text not null,
  "auto_canceled_by" bigint,
  "source_job_id" bigint,
  "followed" integer not null check ("followed" in (0, 1)),
  "created_at" bigint not null,
  "updated_at" bigint not null,
  "started_at" bigint,
  "finished_at" bigint,
  "duration_ms" bigint,
  "root_id" bigint,
  constraint "pipelines_iid" unique ("project_id",
  "iid"));

CREATE INDEX pipelines_by_commit on pipelines (project_id, sha, id);

CREATE INDEX pipelines_by_creation on pipelines (project_id, created_at, id);

CREATE INDEX pipelines_by_kind_of_ref on pipelines (project_id, tag, ref, id);

CREATE INDEX pipelines_by_name on pipelines (project_id, name, id) where name is not null;

CREATE INDEX pipelines_by_project on pipelines (project_id, id);

CREATE INDEX pipelines_by_ref on pipelines (project_id, ref, id);

CREATE INDEX pipelines_by_source on pipelines (project_id, source, id);

CREATE UNIQUE INDEX pipelines_by_source_job on pipelines (source_job_id) where source_job_id is not null;

CREATE INDEX pipelines_by_status on pipelines (project_id, status, id);

CREATE INDEX pipelines_by_update on pipelines (project_id, updated_at, id);

CREATE INDEX pipelines_by_user on pipelines (project_id, user_id, id);

CREATE INDEX pipelines_created on pipelines (id) where status = 'created';

CREATE INDEX pipelines_living on pipelines (project_id, ref, id) where status not in ('success', 'failed', 'canceled', 'skipped');

CREATE INDEX pipelines_with_errors on pipelines (project_id, id) where yaml_errors is not null;

CREATE TABLE "project_mirrors" ("project_id" bigint primary key references "projects" ("id"),
  "source" blob not null,
  "fetched_at" bigint,
  "error" text);

CREATE TABLE "project_subscriptions" ("id" integer primary key autoincrement,
  "upstream_id" bigint not null references "projects" ("id"),
  "project_id" bigint not null references "projects" ("id"),
  "user_id" bigint not null references "users" ("id"),
  "created_at" bigint not null,
  constraint "project_subscriptions_pair" unique ("project_id",
  "upstream_id"));

CREATE INDEX project_subscriptions_by_upstream on project_subscriptions (upstream_id);

CREATE TABLE "projects" ("id" integer primary key autoincrement,
  "group_id" bigint not null references "groups" ("id"),
  "path" text not null,
  "full_path" text not null,
  "name" text not null,
  "description" text not null,
  "visibility" text not null check ("visibility" in ('private', 'internal', 'public')),
  "default_branch" text not null,
  "config_path" text not null,
  "timeout_s" integer not null,
  "builds_enabled" integer not null check ("builds_enabled" in (0, 1)),
  "instance_runners_enabled" integer not null check ("instance_runners_enabled" in (0, 1)),
  "group_runners_enabled" integer not null check ("group_runners_enabled" in (0, 1)),
  "cache_index" integer not null,
  "mirrored" integer not null check ("mirrored" in (0, 1)),
  "merged_results" integer not null check ("merged_results" in (0, 1)),
  "followed" integer not null check ("followed" in (0, 1)),
  "auto_cancel" integer not null check ("auto_cancel" in (0, 1)),
  "forward_deployment" integer not null check ("forward_deployment" in (0, 1)),
  "job_token_scope" integer not null check ("job_token_scope" in (0, 1)),
  "over_quota" integer not null check ("over_quota" in (0, 1)),
  "last_pipeline_iid" bigint not null,
  "last_request_iid" bigint not null,
  "instance_jobs" integer not null check (instance_jobs >= 0),
  "created_at" bigint not null,
  "updated_at" bigint not null,
  "deleted_at" bigint, delete_pipelines_s integer, keep_latest integer not null default 1 check (keep_latest in (0, 1)),
  "protections" text);

CREATE INDEX projects_by_group on projects (group_id);

CREATE UNIQUE INDEX projects_by_path on projects (lower(full_path));

CREATE TABLE "protected_environments" ("project_id" bigint not null references "projects" ("id"),
  "name" text not null,
  "deployers" text not null,
  constraint "protected_environments_key" primary key ("project_id",
  "name"));

CREATE TABLE "pushes" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "user_id" bigint references "users" ("id"),
  "node" text not null,
  "commands" text not null,
  "options" text not null,
  "pending" text,
  "attempts" integer not null,
  "created_at" bigint not null);

CREATE INDEX pushes_by_project on pushes (project_id, id);

CREATE TABLE "registration_tokens" ("id" integer primary key autoincrement,
  "token_hash" text not null unique,
  "token_hint" text not null,
  "project_id" bigint references "projects" ("id"),
  "group_id" bigint references "groups" ("id"),
  "created_at" bigint not null,
  "sealed" blob);

CREATE UNIQUE INDEX registration_tokens_by_scope on registration_tokens (coalesce(project_id, 0), coalesce(group_id, 0));

CREATE TABLE "release_links" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "release_id" bigint not null references "releases" ("id"),
  "name" text not null,
  "url" text not null,
  "filepath" text,
  "type" text not null check (type in ('other', 'runbook', 'image', 'package')),
  "created_at" bigint not null,
  constraint "release_links_name" unique ("release_id",
  "name"),
  constraint "release_links_url" unique ("release_id",
  "url"),
  constraint "release_links_filepath" unique ("release_id",
  "filepath"));

CREATE INDEX release_links_by_project on release_links (project_id);

CREATE TABLE "releases" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "tag" text not null,
  "name" text not null,
  "description" text,
  "sha" text not null,
  "author_id" bigint references "users" ("id"),
  "released_at" bigint not null,
  "created_at" bigint not null,
  "updated_at" bigint not null,
  constraint "releases_tag" unique ("project_id",
  "tag"));

CREATE INDEX releases_by_time on releases (project_id, released_at);

CREATE TABLE "removals" ("id" integer primary key autoincrement,
  "kind" text not null check ("kind" in ('trace', 'artifact', 'cache', 'project', 'group')),
  "place" text not null);

CREATE TABLE "reports" ("job_id" bigint not null references "jobs" ("id"),
  "kind" text not null,
  "body" text not null,
  constraint "reports_key" primary key ("job_id",
  "kind"));

CREATE TABLE "resource_groups" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "key" text not null,
  "process_mode" text not null check ("process_mode" in ('unordered', 'oldest_first', 'newest_first', 'newest_ready_first')),
  "holder_job_id" bigint,
  "created_at" bigint not null,
  constraint "resource_groups_identity" unique ("project_id",
  "key"));

CREATE TABLE "runner_cost_factors" ("runner_id" bigint primary key references "runners" ("id") on delete cascade,
  "public_factor" double precision not null,
  "private_factor" double precision not null);

CREATE TABLE "runner_groups" ("runner_id" bigint not null references "runners" ("id") on delete cascade,
  "group_id" bigint not null references "groups" ("id"),
  constraint "runner_groups_key" primary key ("runner_id",
  "group_id"));

CREATE TABLE "runner_managers" ("id" integer primary key autoincrement,
  "runner_id" bigint not null references "runners" ("id") on delete cascade,
  "system_id" text not null,
  "name" text not null,
  "version" text not null,
  "revision" text not null,
  "platform" text not null,
  "architecture" text not null,
  "executor" text not null,
  "features" text not null,
  "ip_address" text,
  "created_at" bigint not null,
  "contacted_at" bigint not null,
  constraint "runner_managers_identity" unique ("runner_id",
  "system_id"));

CREATE INDEX runner_managers_by_contact on runner_managers (contacted_at);

CREATE TABLE "runner_projects" ("runner_id" bigint not null references "runners" ("id") on delete cascade,
  "project_id" bigint not null references "projects" ("id"),
  constraint "runner_projects_key" primary key ("runner_id",
  "project_id"));

CREATE TABLE "runners" ("id" integer primary key autoincrement,
  "type" text not null check ("type" in ('instance', 'group', 'project')),
  "token_hash" text not null unique,
  "token_hint" text not null,
  "token_expires_at" bigint,
  "registered" integer not null check ("registered" in (0, 1)),
  "description" text not null,
  "maintenance_note" text,
  "active" integer not null check ("active" in (0, 1)),
  "locked" integer not null check ("locked" in (0, 1)),
  "run_untagged" integer not null check ("run_untagged" in (0, 1)),
  "protected_only" integer not null check ("protected_only" in (0, 1)),
  "tags" text not null,
  "maximum_timeout_s" integer,
  "job_limit" integer,
  "created_at" bigint not null,
  "contacted_at" bigint);

CREATE TABLE "schedule_pipelines" ("pipeline_id" bigint primary key references "pipelines" ("id") on delete cascade,
  "schedule_id" bigint not null references "pipeline_schedules" ("id") on delete cascade);

CREATE INDEX "schedule_pipelines_by_schedule" on "schedule_pipelines" ("schedule_id",
  "pipeline_id");

CREATE TABLE "sessions" ("id" integer primary key autoincrement,
  "user_id" bigint not null references "users" ("id"),
  "token_hash" text not null unique,
  "way" text not null check (way in ('password', 'openid')),
  "address" text not null,
  "agent" text not null,
  "created_at" bigint not null,
  "seen_at" bigint not null,
  "expires_at" bigint not null,
  "issuer" text);

CREATE INDEX sessions_by_end on sessions (expires_at);

CREATE INDEX sessions_by_user on sessions (user_id, id);

CREATE TABLE "stages" ("id" integer primary key autoincrement,
  "pipeline_id" bigint not null references "pipelines" ("id"),
  "name" text not null,
  "position" integer not null,
  "status" text not null check ("status" in ('created', 'waiting_for_resource', 'preparing', 'waiting_for_callback', 'pending', 'running', 'canceling', 'success', 'failed', 'canceled', 'skipped', 'manual', 'scheduled')),
  constraint "stages_position" unique ("pipeline_id",
  "position"));

CREATE TABLE "subscribed_runs" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "user_id" bigint not null references "users" ("id"),
  "upstream_pipeline_id" bigint not null,
  "created_at" bigint not null);

CREATE TABLE "trace_pieces" ("job_id" bigint not null references "jobs" ("id"),
  "position" bigint not null,
  "bytes" blob not null,
  "hidden" integer not null,
  constraint "trace_pieces_pk" primary key ("job_id",
  "position"));

CREATE TABLE "traces" ("job_id" bigint primary key references "jobs" ("id"),
  "length" bigint not null,
  "crc32" bigint not null,
  "node" text not null,
  "incomplete" integer not null check ("incomplete" in (0, 1)),
  "mismatch" integer not null check ("mismatch" in (0, 1)),
  "debug" integer not null check ("debug" in (0, 1)),
  "updated_at" bigint not null);

CREATE TABLE "triggers" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "owner_id" bigint not null references "users" ("id"),
  "description" text not null,
  "token_hash" text not null unique,
  "token_hint" text not null,
  "last_used_at" bigint,
  "created_at" bigint not null,
  "updated_at" bigint not null);

CREATE TABLE "usage" ("namespace_id" bigint not null,
  "project_id" bigint not null,
  "month" text not null,
  "minutes" double precision not null,
  "duration_ms" bigint not null,
  "jobs" bigint not null,
  constraint "usage_key" primary key ("namespace_id",
  "month",
  "project_id"));

CREATE INDEX usage_by_month on usage (month, project_id);

CREATE TABLE "users" ("id" integer primary key autoincrement,
  "username" text not null unique,
  "name" text not null,
  "email" text not null,
  "is_admin" integer not null check ("is_admin" in (0, 1)),
  "state" text not null check ("state" in ('active', 'blocked')),
  "project_id" bigint,
  "access_level" integer,
  "created_at" bigint not null,
  "group_id" bigint);

CREATE INDEX users_of_groups on users (group_id) where group_id is not null;

CREATE TABLE "variables" ("id" integer primary key autoincrement,
  "owner_type" text not null check ("owner_type" in ('instance', 'group', 'project')),
  "owner_id" bigint not null,
  "key" text not null,
  "environment_scope" text not null,
  "value" blob not null,
  "file" integer not null check ("file" in (0, 1)),
  "protected" integer not null check ("protected" in (0, 1)),
  "masked" integer not null check ("masked" in (0, 1)),
  "hidden" integer not null check ("hidden" in (0, 1)),
  "raw" integer not null check ("raw" in (0, 1)),
  "description" text,
  constraint "variables_identity" unique ("owner_type",
  "owner_id",
  "key",
  "environment_scope"));

CREATE TABLE "verdicts" ("job_id" bigint primary key references "jobs" ("id"),
  "decided_by" text not null,
  "confidence" real not null,
  "retryable" smallint not null,
  "lines" text not null);

CREATE TABLE "webhook_deliveries" ("id" integer primary key autoincrement,
  "webhook_id" bigint not null references "webhooks" ("id") on delete cascade,
  "event" text not null check ("event" in ('Job Hook', 'Pipeline Hook')),
  "uuid" text not null,
  "body" blob not null,
  "attempts" integer not null,
  "due_at" bigint not null);

CREATE INDEX webhook_deliveries_by_webhook on webhook_deliveries (webhook_id);

CREATE INDEX webhook_deliveries_due on webhook_deliveries (due_at);

CREATE TABLE "webhooks" ("id" integer primary key autoincrement,
  "project_id" bigint not null references "projects" ("id"),
  "name" text not null,
  "description" text not null,
  "sealed" blob not null,
  "job_events" integer not null check ("job_events" in (0, 1)),
  "pipeline_events" integer not null check ("pipeline_events" in (0, 1)),
  "verifies_tls" integer not null check ("verifies_tls" in (0, 1)),
  "failures" integer not null,
  "disabled_until" bigint,
  "created_at" bigint not null);

CREATE INDEX webhooks_by_project on webhooks (project_id);
