// Years of ended jobs in seconds: rows as lives leave them, written by statements that both engines take. Nine of ten
// pipelines are the first project's, with all that happens to jobs; those of the second have only succeeded, so that
// whoever looks for anything else there looks in vain. Ten jobs a pipeline, in two stages.

const jobsEach = 10
const dayMs = 24 * 3_600_000

/** Growing tables in the order in which they are filled. */
const tables = [
  'pipelines',
  'stages',
  'job_definitions',
  'jobs',
  'leases',
  'traces',
  'artifacts',
  'deployments',
  'events',
]

/**
 * Fills an open, migrated store with `jobs` ended jobs that end at `now`, spread over `days`. `run(sql)` runs a statement
 * and gives its rows. `projects`: ids of the two; `runner`, `manager`, `user`: who ran and started them. Tasks and exporters
 * have seen their events.
 */
export async function fillHistory(run, { jobs, now, days = 180, projects, runner, manager, user = 1 }) {
  const [busy, calm] = projects
  const pipelines = Math.ceil(jobs / jobsEach)
  const last = {}
  for (const table of [...tables, 'environments', 'pipeline_schedules']) {
    const [{ id }] = await run(
      table === 'traces' ? 'select 0 as id' : `select coalesce(max(id), 0) as id from ${table}`,
    )
    last[table] = Number(id)
  }
  const step = Math.max(1, Math.floor((days * dayMs) / pipelines))
  const series = (count) => `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})`
  const at = (i) => `(${now} - cast(${pipelines} - ${i} as bigint) * ${step} - 60000)`
  const project = (i) => `case when ${i} % 10 = 0 then ${calm} else ${busy} end`
  const pipelineStatus = (i) => `case when ${i} % 10 = 0 then 'success' when ${i} % 40 = 7 then 'failed'
    when ${i} % 100 = 13 then 'canceled' else 'success' end`

  await run(`
    insert into environments (project_id, name, slug, tier, state, created_at, updated_at)
    select ${busy}, 'production', 'production', 'production', 'available', ${now}, ${now}
    where not exists (select 1 from environments where project_id = ${busy} and name = 'production')`)
  const [{ id: environment }] = await run(
    `select id from environments where project_id = ${busy} and name = 'production'`,
  )

  await run(`
    insert into pipelines (id, project_id, iid, ref, tag, protected, sha, before_sha, source, status, user_id, name, variables,
      on_new_commit, on_job_failure, followed, created_at, updated_at, started_at, finished_at, duration_ms)
    ${series(pipelines)}
    select ${last.pipelines} + i, ${project('i')}, 1000 + i, case when i % 5 = 0 then 'topic-' || (i % 1000) else 'main' end,
      0, 1, '1111111111111111111111111111111' || (100000000 + i), '0000000000000000000000000000000000000000',
      case when i % 20 = 3 then 'schedule' else 'push' end, ${pipelineStatus('i')}, ${user}, null, null,
      'conservative', 'none', 0, ${at('i')}, ${at('i')} + 50000, ${at('i')} + 10, ${at('i')} + 50000, 49990
    from n`)
  await run(`
    insert into stages (id, pipeline_id, name, position, status)
    ${series(2 * pipelines)}
    select ${last.stages} + i, ${last.pipelines} + (i + 1) / 2, case when i % 2 = 1 then 'build' else 'test' end, 1 - i % 2,
      'success'
    from n`)
  await run(`
    insert into job_definitions (id, body)
    ${series(jobs)}
    select ${last.job_definitions} + i, '{"name":"job-' || (i % ${jobsEach}) || '","stage":"build","script":["make all","make check"],"when":"on_success","variables":[{"key":"KIND","value":"history"}]}'
    from n`)
  const pipelineOf = `(1 + (i - 1) / ${jobsEach})`
  const nth = `((i - 1) % ${jobsEach})`
  // The last job of a failed pipeline has failed, of a canceled one was canceled; some were never played, some skipped.
  const jobStatus = `case when ${nth} = 9 then ${pipelineStatus(pipelineOf)}
    when ${nth} = 8 and ${pipelineOf} % 10 = 1 then 'manual' when ${nth} = 7 and ${pipelineOf} % 40 = 7 then 'skipped' else 'success' end`
  const ran = `status in ('success', 'failed', 'canceled')`
  await run(`
    insert into jobs (id, pipeline_id, project_id, stage_id, stage_position, definition_id, name, kind, status, run_when, scheduling,
      allow_failure, retried, enqueue_at_once, in_queue, priority, fence, void_offers, runner_id, manager_id, user_id, timeout_s,
      created_at, updated_at, queued_at, started_at, finished_at, resource_key, environment, finish_work, id_tokens)
    select id, pipeline, project, ${last.stages} + 2 * (pipeline - ${last.pipelines}) - 1 + position, position, definition, 'job-' || nth, 'build',
      status, 'on_success', 'stage', 0, 0, 0, 0, 0, case when ${ran} then 1 else 0 end, 0,
      case when ${ran} then ${runner} end, case when ${ran} then ${manager} end, ${user}, 3600, at, at + 40000,
      at + 5, case when ${ran} then at + 20 end, case when ${ran} then at + 40000 end,
      case when nth = 9 then 'production' end, case when nth = 9 then 'production' end, 0, 0
    from (
      ${series(jobs)}
      select ${last.jobs} + i as id, ${last.pipelines} + ${pipelineOf} as pipeline, ${project(pipelineOf)} as project,
        case when ${nth} < 5 then 0 else 1 end as position, ${last.job_definitions} + i as definition, ${nth} as nth,
        ${jobStatus} as status, ${at(pipelineOf)} as at
      from n
    ) as made`)
  const made = `jobs.id > ${last.jobs}`
  await run(`
    insert into leases (job_id, fence, project_id, runner_id, manager_id, instance_runner, node, door, status, term_ms, written,
      offered_at, accepted_at, expires_at, ended_at, end_reason, cancel_revision, cancel_acked, report, report_at)
    select id, 1, project_id, ${runner}, ${manager}, 1, 'bench', 'grpc', 'released', 60000, 1, queued_at, started_at,
      finished_at + 60000, finished_at, 'finished', 0, 0, '{"state":"success"}', finished_at
    from jobs where ${made} and ${ran} order by id`)
  await run(`
    insert into traces (job_id, length, crc32, node, incomplete, mismatch, debug, updated_at)
    select id, 4096, 1, 'bench', 0, 0, 0, finished_at from jobs where ${made} and ${ran} order by id`)
  await run(`
    insert into artifacts (job_id, project_id, type, format, filename, size_bytes, sha256, location, expires_at, created_at)
    select id, project_id, 'trace', 'raw', 'job.log', 4096, 'x', 'h/trace-' || id, null, finished_at
    from jobs where ${made} and ${ran} order by id`)
  await run(`
    insert into artifacts (job_id, project_id, type, format, filename, size_bytes, sha256, location, expires_at, created_at)
    select id, project_id, 'archive', 'zip', 'artifacts.zip', 4096, 'x', 'h/archive-' || id,
      case when id % 20 = 0 then ${now} + ${30 * dayMs} end, finished_at
    from jobs where ${made} and ${ran} and id % ${jobsEach} = 0 order by id`)
  await run(`
    insert into deployments (project_id, environment_id, job_id, iid, ref, tag, sha, user_id, status, created_at, updated_at, finished_at)
    select project_id, ${environment}, id, id + 1000, 'main', 0, '1', ${user}, case when status = 'success' then 'success' else 'failed' end,
      created_at, updated_at, finished_at
    from jobs where ${made} and ${ran} and environment is not null and project_id = ${busy} order by id`)
  await run(`
    insert into events (at, kind, project_id, pipeline_id, job_id, runner_id, data)
    select updated_at, told.kind, project_id, pipeline_id, jobs.id, runner_id, told.data
    from jobs cross join (
      select 1 as nth, 'job.changed' as kind, '{"from":"created","to":"pending"}' as data
      union all select 2, 'job.leased', '{"door":"grpc","waited_ms":5}'
      union all select 3, 'job.changed', '{"from":"pending","to":"running"}'
      union all select 4, 'job.finished', '{"from":"running","to":"success"}'
    ) as told
    where ${made} order by jobs.id, told.nth`)
  await run(`
    update projects set last_pipeline_iid = case when last_pipeline_iid < ${1000 + pipelines} then ${1000 + pipelines} else last_pipeline_iid end
    where id in (${busy}, ${calm})`)
  // Exporters have read them too: one that is behind makes `/metrics` wait.
  await run('update exporter_cursors set event_id = (select max(id) from events)')
  await run(`delete from exporter_cursors where name in ('task.archive_traces', 'task.count_usage')`)
  for (const name of ['task.archive_traces', 'task.count_usage']) {
    await run(`insert into exporter_cursors (name, event_id) select '${name}', max(id) from events`)
  }
  return {
    pipelines,
    jobs,
    environment: Number(environment),
    firstJob: last.jobs + 1,
    firstPipeline: last.pipelines + 1,
  }
}

/** On PostgreSQL: rows that name their ids leave the next ids as they were, and the planner knows nothing of them. */
export async function settlePostgres(run) {
  for (const table of ['pipelines', 'stages', 'job_definitions', 'jobs']) {
    await run(`select setval(pg_get_serial_sequence('${table}', 'id'), (select max(id) from ${table}))`)
  }
  await run('analyze')
}
