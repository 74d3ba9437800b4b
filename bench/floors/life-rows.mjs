// What the rows of a job's life cost in SQLite alone: the product's own tables and indexes, copied empty from a file of its
// own, and the rows that a life inserts and changes there, 50 lives a transaction.
import Sqlite from 'better-sqlite3'
import { cpuUs, serve } from '../lib.mjs'

const together = 50

serve({
  /** `file`: a database of the product with at least one finished job. Gives microseconds a life. */
  measure({ file, copy, lives }) {
    const model = new Sqlite(file, { readonly: true })
    const schema = "select sql from sqlite_master where sql is not null and name not like 'sqlite_%' order by type desc"
    const newest = (table) => model.prepare(`select * from "${table}" order by id desc limit 1`).get()
    const rows = { jobs: newest('jobs'), leases: newest('leases'), events: newest('events') }
    const db = new Sqlite(copy)
    for (const pragma of [
      'journal_mode = WAL',
      'synchronous = NORMAL',
      'wal_autocheckpoint = 0',
      'cache_size = -65536',
    ]) {
      db.pragma(pragma)
    }
    db.pragma('foreign_keys = OFF')
    db.pragma('ignore_check_constraints = ON')
    for (const { sql } of model.prepare(schema).all()) db.exec(sql)
    model.close()
    const life = writerOf(db, rows)
    const us = cpuUs()
    for (let id = 1; id <= lives; ) {
      db.exec('begin immediate')
      for (const end = id + together; id < end; id++) life(id)
      db.exec('commit')
    }
    const spent = (cpuUs() - us) / lives
    db.close()
    return spent
  },
})

function writerOf(db, rows) {
  const insert = (table, without = []) => {
    const columns = Object.keys(rows[table]).filter((column) => !without.includes(column))
    const names = columns.map((column) => `"${column}"`).join()
    const statement = db.prepare(`insert into ${table} (${names}) values (${columns.map(() => '?').join()})`)
    return (values) => statement.run(columns.map((column) => (column in values ? values[column] : rows[table][column])))
  }
  const update = (table, columns) => {
    const statement = db.prepare(`update ${table} set ${columns.map((column) => `${column} = ?`).join()} where id = ?`)
    return (...values) => statement.run(...values)
  }
  const insertJob = insert('jobs')
  const insertLease = insert('leases')
  const insertEvent = insert('events', ['id'])
  const queued = ['status', 'fence', 'timeout_s', 'timeout_source', 'token_issued_at', 'token_expires_at', 'queued_at']
  const queueJob = update('jobs', queued)
  const runJob = update('jobs', ['status', 'runner_id', 'manager_id', 'updated_at', 'started_at'])
  const endJob = update('jobs', ['status', 'updated_at', 'finished_at'])
  const holdLease = update('leases', ['status', 'accepted_at', 'expires_at', 'accept_by'])
  const endLease = update('leases', ['status', 'end_reason', 'ended_at', 'report', 'report_at'])
  return (id) => {
    const now = 1e12 + id
    const unborn = { status: 'created', fence: 0, in_queue: 0, finish_work: 0, started_at: null, finished_at: null }
    const event = (times) => {
      for (let i = 0; i < times; i++) insertEvent({ job_id: id })
    }
    insertJob({ id, name: `job-${id}`, pipeline_id: Math.floor(id / 50), ...unborn })
    queueJob('pending', 1, 3600, 'project_timeout_source', now, now, now, id)
    const open = {
      accepted_at: null,
      expires_at: null,
      ended_at: null,
      end_reason: null,
      report: null,
      report_at: null,
    }
    insertLease({ id, job_id: id, status: 'offered', accept_by: now, ...open })
    event(2)
    runJob('running', 1, 1, now, now, id)
    holdLease('held', now, now, null, id)
    event(1)
    endJob('success', now, now, id)
    endLease('released', 'finished', now, '{"state":"success"}', now, id)
    event(2)
  }
}
