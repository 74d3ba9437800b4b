// Fills the store of a coordinator that is stopped with ended jobs.
import Sqlite from 'better-sqlite3'
import { serve } from '../lib.mjs'
import { fillHistory } from './history-rows.mjs'

serve({
  /** So many ended jobs of two projects, as a runner has run them. */
  async fill({ file, jobs, projects, runner }) {
    const raw = new Sqlite(file)
    const run = async (sql) => {
      const statement = raw.prepare(sql)
      if (statement.reader) return statement.all()
      statement.run()
      return []
    }
    raw.exec('begin')
    await run(`insert into runner_managers (runner_id, system_id, name, version, revision, platform, architecture, executor,
      features, created_at, contacted_at) values (${runner}, 's', 'b', '1', '', 'l', 'a', 's', '[]', 1, 1)`)
    const [{ id: manager }] = await run(`select id from runner_managers where runner_id = ${runner}`)
    const filled = await fillHistory(run, { jobs, now: Date.now(), projects, runner, manager })
    raw.exec('commit')
    raw.close()
    return filled
  },
})
