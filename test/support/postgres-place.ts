/**
 * Databases for tests on the one server that runs for all suites. Making one takes far longer than most tests do, so those that
 * tests have done with are emptied and given to the next, whatever file that is in.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'

/** The database that those of the tests are copies of. */
export const template = 'migrated'

/** A migrated database without rows, until `remove`. */
export interface PostgresPlace {
  url: string
  remove: () => Promise<void>
}

/** Notes when a test changes the schema: such a database is not used again. */
const watch = `create schema tests;
  create table tests.changes (what text);
  create function tests.note() returns event_trigger language plpgsql as $$ begin insert into tests.changes values (tg_tag); end $$;
  create event trigger note on ddl_command_end execute function tests.note()`

/** Without its triggers a table can be emptied before those that refer to it. Where nothing was kept, this takes 5 ms. */
const clean = `do $$ declare t text; begin
  if exists (select from tests.changes) then raise 'the schema was changed'; end if;
  set local session_replication_role = replica;
  for t in select oid::regclass from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    and relname not like 'kysely%' loop execute 'delete from ' || t; end loop;
  perform setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
    from pg_sequences where last_value is not null;
end $$`

/** Returns a database of the caller's own. */
export async function postgresPlace(): Promise<PostgresPlace> {
  const name = (await spare()) ?? (await made())
  return { url: `${inject('postgresUrl')}/${name}`, remove: () => giveBack(name) }
}

/** One that another test has done with. */
async function spare(): Promise<string | undefined> {
  const { rows } = await server().query<{ name: string }>(
    'delete from spare where name = (select name from spare limit 1 for update skip locked) returning name',
  )
  return rows[0]?.name
}

async function made(): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await server().query(`create database ${name} template ${template}`)
  return name
}

async function giveBack(name: string): Promise<void> {
  // A child that the test has killed may still have a statement under way.
  await server().query('select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = $1', [name])
  try {
    await askOnce(`${inject('postgresUrl')}/${name}`, clean)
    await server().query('insert into spare (name) values ($1)', [name])
  } catch {
    await server().query(`drop database ${name} with (force)`)
  }
}

/** Prepares the template, once it is migrated, and the list of databases to spare. */
export async function beginPlaces(url: string): Promise<void> {
  await askOnce(`${url}/${template}`, watch)
  await askOnce(`${url}/postgres`, 'create table spare (name text primary key)')
}

let pool: pg.Pool | undefined

/** Lasts as long as the process, and does not hold it up. */
function server(): pg.Pool {
  pool ??= new pg.Pool({ connectionString: `${inject('postgresUrl')}/postgres`, allowExitOnIdle: true })
    // Closed by the server at the end of all suites, while it is idle.
    .on('error', () => undefined)
  return pool
}

async function askOnce(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
