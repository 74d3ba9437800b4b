/**
 * What is promised, how an outcome is held against it, and for each promise something that breaks it: `spoil` does so inside
 * of a transaction that is rolled back. A check gives its violations, ten at the most.
 */
const first = (rows, text) => rows.slice(0, 10).map(text)

export const promises = {
  acknowledged: {
    text: 'Every pipeline whose making was answered is there, with all of its jobs.',
    async check({ db, acknowledged, perPipeline }) {
      const sql = `
        select id, coalesce(count, 0)::int as count from unnest($1::bigint[]) as id
        left join (select pipeline_id, count(*) from jobs where retried = 0 group by pipeline_id) as c on c.pipeline_id = id
        where coalesce(count, 0) <> $2`
      const { rows } = await db.query(sql, [acknowledged, perPipeline])
      return first(rows, ({ id, count }) => `pipeline ${id} has ${count} jobs`)
    },
    spoil: ({ acknowledged }) => ({ acknowledged: [...acknowledged, 999_999_999] }),
  },
  owner: {
    text: 'No job was owned twice: one lease of a job at the most was ever accepted.',
    async check({ db }) {
      const sql =
        'select job_id, count(*)::int as count from leases where accepted_at is not null group by job_id having count(*) > 1'
      const { rows } = await db.query(sql)
      return first(rows, ({ job_id: id, count }) => `job ${id} was held ${count} times`)
    },
    async spoil({ db }) {
      const columns = (
        await db.query("select column_name from information_schema.columns where table_name = 'leases'")
      ).rows
        .map((row) => row.column_name)
        .filter((name) => name !== 'id' && name !== 'fence')
      await db.query(`
        insert into leases (fence, ${columns}) select fence + 1, ${columns} from leases
        where accepted_at is not null and status = 'released' limit 1`)
      return {}
    },
  },
  final: {
    text: 'Every job has a final status, and none has an open lease.',
    async check({ db }) {
      const { rows } = await db.query(`
        select id, status from jobs where status not in ('success', 'failed', 'canceled', 'skipped')
        union all select job_id, 'over, with an open lease' from leases where status in ('offered', 'held')`)
      return first(rows, ({ id, status }) => `job ${id} is ${status}`)
    },
    async spoil({ db }) {
      await db.query(
        "update leases set status = 'held', ended_at = null, end_reason = null, expires_at = 0 where id = (select max(id) from leases)",
      )
      return {}
    },
  },
  once: {
    text: 'A final status is final: no job has finished twice.',
    async check({ db }) {
      const sql =
        "select job_id, count(*)::int as count from events where kind = 'job.finished' group by job_id having count(*) > 1"
      const { rows } = await db.query(sql)
      return first(rows, ({ job_id: id, count }) => `job ${id} has finished ${count} times`)
    },
    async spoil({ db }) {
      await db.query(
        "insert into events (at, kind, project_id, pipeline_id, job_id, data) select at, kind, project_id, pipeline_id, job_id, data from events where kind = 'job.finished' limit 1",
      )
      return {}
    },
  },
  logs: {
    text: 'The log of every job that succeeded is what its runner sent, byte for byte, with each line once and in order.',
    async check({ db, log }) {
      const violations = []
      const { rows } = await db.query("select id from jobs where status = 'success' order by id")
      const flags = await db.query(
        "select t.job_id from traces t join jobs j on j.id = t.job_id where j.status = 'success' and (t.mismatch = 1 or t.incomplete = 1)",
      )
      violations.push(...first(flags.rows, ({ job_id: id }) => `the log of job ${id} differs from its checksum`))
      for (const { id } of rows) {
        if (violations.length >= 10) break
        const told = (await log(id)).split('\n').filter((line) => line.startsWith('proof '))
        const right = Array.from({ length: 8 }, (_, i) => `proof ${i + 1} of ${id}`)
        if (told.join('\n') !== right.join('\n')) violations.push(`the log of job ${id}: ${told.length} lines`)
      }
      return violations
    },
    spoil: ({ log }) => ({ log: async (id) => (await log(id)).replace('proof 4', 'proof 5') }),
  },
}

/** Violations of each promise. */
export async function verify(facts) {
  const found = {}
  for (const [name, promise] of Object.entries(promises)) found[name] = await promise.check(facts)
  return found
}
