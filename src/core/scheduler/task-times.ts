/**
 * When background tasks run by themselves: at an interval in milliseconds, or at the times of a cron expression in UTC. A task
 * that is not named here works inline, or when another one puts it off.
 * Cadence: gitlab config/initializers/1_settings.rb.
 */
export type TaskTimes = Readonly<Record<string, number | string>>

const second = 1000
const minute = 60 * second

/** Milliseconds, or a cron expression in UTC, for each task that runs by itself. */
export const defaultTaskTimes: TaskTimes = {
  expire_leases: second,
  wake_runners: second,
  enqueue_due_jobs: second,
  stuck_ci_jobs: '0 * * * *',
  drop_timed_out: '*/5 * * * *',
  assign_resources: 10 * second,
  finish_work: 30 * second,
  archive_traces: minute,
  prepare_jobs: 30 * second,
  count_usage: minute,
  receive_hooks: 30 * second,
  follow_pushes: 10 * second,
  run_subscribers: 30 * second,
  run_merge_trains: 30 * second,
  settle_bridges: 30 * second,
  run_schedules: '3-59/10 * * * *',
  stop_environments: '24 * * * *',
  note_contacts: 30 * minute,
  delete_expired_artifacts: '*/7 * * * *',
  evict_caches: '17 * * * *',
  delete_old_pipelines: '*/10 * * * *',
  delete_old_events: '29 * * * *',
  remove_deleted: minute,
  remove_orphans: '41 * * * *',
  remove_idle_lanes: 10 * minute,
}
