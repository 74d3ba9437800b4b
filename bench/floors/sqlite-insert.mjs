// The least that one durable row costs: a prepared insert of 2 KB in a transaction of its own, synchronous=FULL.
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { nowUs, serve, sleep } from '../lib.mjs'

let insert
serve({
  open({ dir }) {
    const db = new Sqlite(path.join(dir, 'floor.db'))
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.pragma('wal_autocheckpoint = 0')
    db.exec('create table jobs (id integer primary key, state integer not null, payload text not null)')
    insert = db.prepare('insert into jobs (state, payload) values (0, ?)')
  },
  async insert({ count, gapMs }) {
    const payload = 'x'.repeat(2048)
    const samples = []
    for (let i = 0; i < count; i++) {
      const started = nowUs()
      insert.run(payload)
      samples.push(nowUs() - started)
      await sleep(gapMs)
    }
    return samples
  },
})
