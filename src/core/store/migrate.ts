/**
 * Brings a database to the newest schema. Migrations run in name order, each once, all in one transaction; a database
 * that knows a migration this program does not know is newer than the program and is refused.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  Kysely,
  type Migration,
  type MigrationResult,
  Migrator,
  PostgresDialect,
  SqliteAdapter,
  SqliteDialect,
  sql,
} from 'kysely'
import type pg from 'pg'
import { SignalboxError } from '../errors.js'
import * as createTables from './migrations/2026_11_22_0100_create_tables.js'
import * as createPushes from './migrations/2026_11_30_2130_create_pushes.js'
import * as createReleases from './migrations/2026_11_30_2145_create_releases.js'
import * as schedulePipelines from './migrations/2026_11_30_2150_schedule_pipelines.js'
import * as indexLocations from './migrations/2026_11_30_2155_index_locations.js'
import * as countStarts from './migrations/2026_11_30_2200_count_starts.js'
import * as indexCommits from './migrations/2026_11_30_2300_index_commits.js'
import * as tieTimesToStatuses from './migrations/2026_11_30_2310_tie_times_to_statuses.js'
import * as sealRegistrationTokens from './migrations/2026_12_01_0110_seal_registration_tokens.js'
import * as keepVerdicts from './migrations/2026_12_01_0130_keep_verdicts.js'
import * as createMembers from './migrations/2026_12_01_0200_create_members.js'
import * as describeEnvironments from './migrations/2026_12_01_0205_describe_environments.js'
import * as indexHistory from './migrations/2026_12_01_0230_index_history.js'
import * as retainPipelines from './migrations/2026_12_01_0240_retain_pipelines.js'
import * as protectRefs from './migrations/2026_12_01_0250_protect_refs.js'
import * as markKeptPayloads from './migrations/2026_12_01_0257_mark_kept_payloads.js'
import * as createSessions from './migrations/2026_12_01_0430_create_sessions.js'
import * as createAudit from './migrations/2026_12_01_0505_create_audit.js'
import * as keepOldPaths from './migrations/2026_12_01_0530_keep_old_paths.js'
import * as knowIdentities from './migrations/2026_12_01_1210_know_identities.js'
import * as rootPipelines from './migrations/2026_12_01_1220_root_pipelines.js'
import * as ownGroupTokens from './migrations/2026_12_01_1233_own_group_tokens.js'
import * as joinNodes from './migrations/2026_12_01_1516_join_nodes.js'
import * as connectForges from './migrations/2026_12_01_1600_connect_forges.js'
import * as keepTraces from './migrations/2026_12_01_1625_keep_traces.js'
import type { WritingConnection } from './sqlite-connection.js'
import type { Reader } from './write.js'

const migrations: Record<string, Migration> = {
  '2026_11_22_0100_create_tables': createTables,
  '2026_11_30_2130_create_pushes': createPushes,
  '2026_11_30_2145_create_releases': createReleases,
  '2026_11_30_2150_schedule_pipelines': schedulePipelines,
  '2026_11_30_2155_index_locations': indexLocations,
  '2026_11_30_2200_count_starts': countStarts,
  '2026_11_30_2300_index_commits': indexCommits,
  '2026_11_30_2310_tie_times_to_statuses': tieTimesToStatuses,
  '2026_12_01_0110_seal_registration_tokens': sealRegistrationTokens,
  '2026_12_01_0130_keep_verdicts': keepVerdicts,
  '2026_12_01_0200_create_members': createMembers,
  '2026_12_01_0205_describe_environments': describeEnvironments,
  '2026_12_01_0230_index_history': indexHistory,
  '2026_12_01_0240_retain_pipelines': retainPipelines,
  '2026_12_01_0250_protect_refs': protectRefs,
  '2026_12_01_0257_mark_kept_payloads': markKeptPayloads,
  '2026_12_01_0430_create_sessions': createSessions,
  '2026_12_01_0505_create_audit': createAudit,
  '2026_12_01_0530_keep_old_paths': keepOldPaths,
  '2026_12_01_1210_know_identities': knowIdentities,
  '2026_12_01_1220_root_pipelines': rootPipelines,
  '2026_12_01_1233_own_group_tokens': ownGroupTokens,
  '2026_12_01_1516_join_nodes': joinNodes,
  '2026_12_01_1600_connect_forges': connectForges,
  '2026_12_01_1625_keep_traces': keepTraces,
}

/** Kysely takes SQLite's schema changes for untransactional, which they are not. */
class TransactionalSqliteDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new (class extends SqliteAdapter {
      override get supportsTransactionalDdl(): boolean {
        return true
      }
    })()
  }
}

/**
 * Migrates a SQLite database through its writing connection. Returns the names of the migrations applied now.
 * Throws `unavailable` when the schema is newer than the program, or a migration fails (then nothing has changed).
 */
export function migrateSqlite(connection: WritingConnection): Promise<string[]> {
  // The connection stays ours: Kysely must not close it.
  const borrowed = Object.create(connection.raw, { close: { value: () => undefined } })
  return migrate(new Kysely({ dialect: new TransactionalSqliteDialect({ database: borrowed }) }))
}

/** Migrates a PostgreSQL database; several nodes may call it at once, and one does the work. As `migrateSqlite` otherwise. */
export function migratePostgres(pool: pg.Pool): Promise<string[]> {
  return migrate(
    new Kysely({
      dialect: new PostgresDialect({ pool: { connect: () => pool.connect(), end: async () => undefined } }),
    }),
  )
}

/** Names of the migrations that the database has had. */
export function listMigrations(from: Reader): Promise<string[]> {
  return appliedTo(from.db)
}

async function appliedTo(db: Pick<Kysely<unknown>, 'getExecutor'>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)
  return rows.map((row) => row.name)
}

/** Asked first, since nearly every start finds nothing to do, and the migrator looks at every table and takes a lock to see it. */
async function isNewest(db: Kysely<unknown>): Promise<boolean> {
  // A database without the table is a new one; what else is wrong with it the migrator tells.
  const applied = await appliedTo(db).catch(() => [])
  return isDeepStrictEqual(applied, Object.keys(migrations))
}

async function migrate(db: Kysely<unknown>): Promise<string[]> {
  if (await isNewest(db)) return []
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error, results } = await migrator.migrateToLatest()
  if (error !== undefined) {
    const failed = results?.find((result: MigrationResult) => result.status === 'Error')
    const newer = /corrupted migrations/.test((error as Error).message)
    const message = newer
      ? 'the database was migrated by a newer signalbox than this one; use that version or a backup'
      : `${failed ? `migration ${failed.migrationName} failed` : 'the database cannot be used'}: ${(error as Error).message}`
    throw new SignalboxError('unavailable', message, { cause: error })
  }
  return (results ?? []).map((result) => result.migrationName)
}
