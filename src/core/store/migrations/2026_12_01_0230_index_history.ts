/**
 * Indexes under which nothing that people or tasks ask costs more as history grows. What each serves stands beside it;
 * `test/growth` asks both engines for the plan of every query.
 *
 * Jobs are told apart by whether they are over, since most are and never change again: a change of a status then writes one
 * index of those that are not, and the end writes the others, once.
 */
import { type Kysely, sql } from 'kysely'

const open =
  "status in ('created', 'waiting_for_resource', 'preparing', 'waiting_for_callback', 'pending', 'running', 'canceling', 'scheduled')"
const over = "status in ('success', 'failed', 'canceled', 'skipped', 'manual')"
const finished = "status in ('success', 'failed', 'canceled')"

const statements = [
  // Sweeps, figures, and lists by `scope`.
  'drop index jobs_alive',
  `create index jobs_open on jobs (status, project_id, id) where ${open}`,
  `create index jobs_over on jobs (project_id, status, id) where ${over}`,
  // Delayed jobs whose time has come, each second.
  "create index jobs_due on jobs (scheduled_at, id) where status = 'scheduled'",
  // Jobs of a runner, and of one of its managers.
  `create index jobs_by_runner on jobs (runner_id, status, id) where ${finished} and runner_id is not null`,
  `create index jobs_by_manager on jobs (manager_id, status, id) where ${finished} and manager_id is not null`,
  // Who wants a resource next; who has had it does not matter.
  'drop index jobs_by_resource',
  "create index jobs_wanting_resource on jobs (project_id, resource_key, id) where resource_key is not null and status in ('created', 'scheduled', 'waiting_for_resource')",

  // Lists of pipelines, by what may be asked for and sorted by.
  'create index pipelines_by_project on pipelines (project_id, id)',
  'create index pipelines_by_status on pipelines (project_id, status, id)',
  'create index pipelines_by_update on pipelines (project_id, updated_at, id)',
  'create index pipelines_by_creation on pipelines (project_id, created_at, id)',
  'create index pipelines_by_source on pipelines (project_id, source, id)',
  'create index pipelines_by_user on pipelines (project_id, user_id, id)',
  'create index pipelines_by_name on pipelines (project_id, name, id) where name is not null',
  'create index pipelines_with_errors on pipelines (project_id, id) where yaml_errors is not null',
  // Branches and tags that have pipelines, one after another.
  'create index pipelines_by_kind_of_ref on pipelines (project_id, tag, ref, id)',

  'create index deployments_by_status on deployments (project_id, status, iid)',
  'create index deployments_of_environment on deployments (environment_id, id)',

  'create index artifacts_expiring on artifacts (expires_at) where expires_at is not null',
  "create index artifacts_by_project on artifacts (project_id) where type <> 'trace'",
  'create index hook_deliveries_by_project on hook_deliveries (project_id, id)',
  'create index runner_managers_by_contact on runner_managers (contacted_at)',
  'create index usage_by_month on usage (month, project_id)',
]

// biome-ignore lint/suspicious/noExplicitAny: a migration knows no schema but the one it makes
export async function up(db: Kysely<any>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}
