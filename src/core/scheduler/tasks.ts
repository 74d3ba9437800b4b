/**
 * Background tasks: sweeps on a timer, and inline work that can be paused. Each is a row of `background_tasks` with its
 * last and next run and its last result, so that people can see it, run it by hand and pause it.
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { deleteExpiredArtifacts } from '../operations/delete-expired-artifacts.js'
import { enqueueDueJobs } from '../operations/enqueue-due-jobs.js'
import { expireLeases } from '../operations/expire-leases.js'
import { processNewPipelines } from '../operations/prepare-node.js'
import { removeIdleLanes } from '../store/queue.js'
import { ensureTask, listTasks, saveTaskPaused, saveTaskRun, type TaskRow } from '../store/tasks.js'

interface Task {
  name: string
  /** Says in a sentence what it does. */
  what: string
  /** How often it runs by itself, in milliseconds; 0: it is done inline, and runs here only what was left while paused. */
  everyMs: number
  /** Too frequent to be written down each time: only a run that did something is. */
  quiet?: boolean
  /** Gives a short result for people; an empty one means that there was nothing to do. */
  run: (core: Core) => Promise<string>
}

const counted = (counts: Record<string, number>) =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ')

const idleLaneMs = 10 * 60_000

export const taskDefinitions: readonly Task[] = [
  {
    name: 'initial_pipeline_process',
    what: 'starts the jobs of a new pipeline; while it is paused they stay created',
    everyMs: 0,
    run: async (core) => counted({ pipelines: await processNewPipelines(core) }),
  },
  {
    name: 'expire_leases',
    what: 'voids offers nobody answered and ends jobs whose runner is gone',
    everyMs: 1000,
    quiet: true,
    run: async (core) => counted({ ...(await expireLeases(core)) }),
  },
  {
    name: 'wake_runners',
    what: 'finds jobs and idle runners that a lost wake-up has left side by side',
    everyMs: 1000,
    quiet: true,
    run: async (core) => {
      await core.dispatcher.sweep()
      return ''
    },
  },
  {
    name: 'enqueue_due_jobs',
    what: 'queues delayed jobs whose time has come',
    everyMs: 1000,
    quiet: true,
    run: async (core) => counted({ jobs: await enqueueDueJobs(core) }),
  },
  {
    name: 'delete_expired_artifacts',
    what: 'deletes artifacts past their expiry',
    everyMs: 7 * 60_000,
    run: async (core) => counted({ artifacts: await deleteExpiredArtifacts(core) }),
  },
  {
    name: 'remove_idle_lanes',
    what: 'forgets lanes of the queue that have been empty for a while',
    everyMs: 10 * 60_000,
    quiet: true,
    run: async (core) => counted({ lanes: await core.store.write((tx) => removeIdleLanes(tx, tx.now - idleLaneMs)) }),
  },
]

export class Tasks {
  readonly #core: Core
  readonly #paused = new Set<string>()
  readonly #running = new Map<string, Promise<string>>()
  #timers: (() => void)[] = []

  constructor(core: Core) {
    this.#core = core
  }

  isPaused(name: string): boolean {
    return this.#paused.has(name)
  }

  /** Makes the rows, learns what is paused. Before the first run. */
  async load(): Promise<void> {
    const { store } = this.#core
    await store.write(async (tx) => {
      for (const task of taskDefinitions) await ensureTask(tx, task.name, task.everyMs)
    })
    for (const row of await listTasks(store.read)) if (row.paused === 1) this.#paused.add(row.name)
  }

  /** Starts the timers. */
  start(): void {
    for (const task of taskDefinitions) {
      if (task.everyMs === 0) continue
      this.#timers.push(
        this.#core.clock.every(task.everyMs, () => {
          if (this.isPaused(task.name) || this.#running.has(task.name)) return
          void this.run(task.name).catch(() => undefined)
        }),
      )
    }
  }

  /** Runs a task now and waits for it; one that is running is joined. Gives its result. Throws `not_found`. */
  run(name: string): Promise<string> {
    const task = definitionOf(name)
    const running = this.#running.get(name)
    if (running) return running
    const run = this.#run(task).finally(() => this.#running.delete(name))
    this.#running.set(name, run)
    return run
  }

  /** Pauses or resumes a task. What piled up while inline work was paused is done at once when it is resumed. */
  async setPaused(name: string, paused: boolean): Promise<void> {
    const task = definitionOf(name)
    await this.#core.store.write((tx) => saveTaskPaused(tx, name, paused))
    if (paused) this.#paused.add(name)
    else this.#paused.delete(name)
    if (!paused && task.everyMs === 0) await this.run(name)
  }

  /** Every task with its row. */
  async list(): Promise<(TaskRow & { what: string })[]> {
    const rows = new Map((await listTasks(this.#core.store.read)).map((row) => [row.name, row]))
    return taskDefinitions.flatMap(({ name, what }) => {
      const row = rows.get(name)
      return row ? [{ ...row, what }] : []
    })
  }

  /** Stops the timers and waits for what is running. Safe to repeat. */
  async close(): Promise<void> {
    for (const stop of this.#timers.splice(0)) stop()
    await Promise.allSettled(this.#running.values())
  }

  async #run(task: Task): Promise<string> {
    const { clock, store, log } = this.#core
    const started = clock.now()
    let result: string
    let failure: unknown
    try {
      result = await task.run(this.#core)
    } catch (error) {
      failure = error
      result = `failed: ${SignalboxError.from(error).message}`
      log.error({ err: error, task: task.name }, 'a background task failed')
    }
    if (!task.quiet || result !== '') {
      const run = {
        at: started,
        durationMs: clock.now() - started,
        result: result || 'nothing to do',
        nextAt: task.everyMs === 0 ? null : started + task.everyMs,
      }
      await store.write((tx) => saveTaskRun(tx, task.name, run)).catch(() => undefined)
    }
    if (failure !== undefined) throw failure
    return result || 'nothing to do'
  }
}

function definitionOf(name: string): Task {
  const task = taskDefinitions.find((one) => one.name === name)
  if (!task) throw new SignalboxError('not_found', `no task ${JSON.stringify(name)}`)
  return task
}
