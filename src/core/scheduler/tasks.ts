/**
 * Runs the background tasks. Each is a row of `background_tasks` with its last and next run and its last result, so that
 * people can see it, run it by hand and pause it.
 */
import type { Core } from '../core.js'
import { type CronTimes, parseCron } from '../cron.js'
import { SignalboxError } from '../errors.js'
import { tellNodes } from '../node-signals.js'
import { ensureTask, listTasks, saveTaskNext, saveTaskPaused, saveTaskRun, type TaskRow } from '../store/tasks.js'
import { type Task, type TaskRunner, taskDefinitions } from './task-definitions.js'

export { taskDefinitions } from './task-definitions.js'

/** The background tasks of a node, each at most once at a time. */
export class Tasks implements TaskRunner {
  readonly #core: Core
  readonly #paused = new Set<string>()
  readonly #running = new Map<string, Promise<string>>()
  /** Tasks that run once at a time of their own: cron tasks and those put off, by when. */
  readonly #due = new Map<string, number>()
  readonly #timers = new Map<string, () => void>()
  #started = false

  constructor(core: Core) {
    this.#core = core
  }

  isPaused(name: string): boolean {
    return this.#paused.has(name)
  }

  /** Makes the rows, learns what is paused and what is due. Before the first run. */
  async load(): Promise<void> {
    const { store } = this.#core
    for (const { task, cron, next } of await this.#learn()) {
      await store.write((tx) =>
        ensureTask(tx, { name: task.name, intervalMs: this.#intervalOf(task), cron: cron?.text ?? null, next }),
      )
    }
  }

  /** Learns what other nodes have paused and resumed. */
  async learnPaused(): Promise<void> {
    for (const row of await listTasks(this.#core.store.read)) this.#setPaused(row.name, row.paused === 1)
  }

  /** From now on this node does the tasks: what is due, and when, stands in the store. */
  async takeOver(): Promise<void> {
    await this.#learn()
    if (this.#started) for (const name of this.#due.keys()) this.#arm(name)
  }

  /** What is paused and what is due, by the store. */
  async #learn() {
    const { store, clock } = this.#core
    const rows = new Map((await listTasks(store.read)).map((row) => [row.name, row]))
    return taskDefinitions.map((task) => {
      const row = rows.get(task.name)
      const cron = this.#cronOf(task)
      this.#setPaused(task.name, row?.paused === 1)
      // What came due while nobody was there is done at the start.
      const kept = this.#intervalOf(task) === 0 && row?.cron === (cron?.text ?? null) ? row.nextRunAt : null
      const next = kept ?? cron?.times.next(clock.now()) ?? null
      if (next !== null) this.#due.set(task.name, next)
      return { task, cron, next }
    })
  }

  #setPaused(name: string, paused: boolean): void {
    if (paused) this.#paused.add(name)
    else this.#paused.delete(name)
  }

  /** Starts the timers. */
  start(): void {
    this.#started = true
    for (const task of taskDefinitions) {
      const interval = this.#intervalOf(task)
      if (interval > 0) {
        this.#timers.set(
          task.name,
          this.#core.clock.every(interval, () => this.runByItself(task.name)),
        )
      }
    }
    for (const name of this.#due.keys()) this.#arm(name)
  }

  /** Runs a task now and waits for it; one that is running is joined. Returns its result. Throws `not_found`. */
  run(name: string): Promise<string> {
    const task = definitionOf(name)
    const running = this.#running.get(name)
    if (running) return running
    const run = this.#run(task).finally(() => this.#running.delete(name))
    this.#running.set(name, run)
    return run
  }

  async later(name: string, ms: number): Promise<void> {
    const at = this.#core.clock.now() + ms
    await this.#core.store.write((tx) => saveTaskNext(tx, name, at))
    this.#due.set(name, at)
    if (this.#started) this.#arm(name)
  }

  /** Pauses or resumes a task. What piled up while inline work was paused is done at once when it is resumed. */
  async setPaused(name: string, paused: boolean): Promise<void> {
    definitionOf(name)
    await this.#core.store.write(async (tx) => {
      await saveTaskPaused(tx, name, paused)
      await tellNodes(this.#core, tx, { kind: 'tasks' })
    })
    this.#setPaused(name, paused)
    const due = this.#due.get(name)
    const inline = this.#core.settings.taskTimes[name] === undefined
    const overdue = due !== undefined && due <= this.#core.clock.now()
    if (!paused && (overdue || (inline && due === undefined))) await this.run(name)
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
    this.#started = false
    for (const stop of this.#timers.values()) stop()
    this.#timers.clear()
    await Promise.allSettled(this.#running.values())
  }

  /** Runs it in the background, unless it is paused, running or another node's duty. */
  runByItself(name: string): void {
    const { nodeState, clock } = this.#core
    if (!definitionOf(name).everywhere && !nodeState.onDuty(clock.now())) return
    if (this.isPaused(name) || this.#running.has(name) || this.#hearingOut(name) > 0) return
    this.run(name).catch(() => undefined)
  }

  #arm(name: string): void {
    const at = this.#due.get(name)
    this.#timers.get(name)?.()
    this.#timers.delete(name)
    if (at === undefined) return
    const { clock } = this.#core
    const waitMs = () => Math.max(0, at - clock.now(), this.#hearingOut(name))
    const stop = clock.after(Math.min(waitMs(), longestTimerMs), () => {
      this.#timers.delete(name)
      const running = this.#running.get(name)
      if (waitMs() > 0) this.#arm(name)
      // A run by hand that was begun before leaves the time that is due now as it is: it is looked at again after it.
      else if (running) {
        const again = () => this.#started && this.#arm(name)
        running.then(again, again)
      } else this.runByItself(name)
    })
    this.#timers.set(name, stop)
  }

  /** Milliseconds for which this node has to listen before the task may run by itself. */
  #hearingOut(name: string): number {
    const { silence } = definitionOf(name)
    if (!silence) return 0
    const { settings, clock } = this.#core
    return Math.min(silence(settings.stuck), settings.leases.stream.heldForMs) - clock.awake()
  }

  async #run(task: Task): Promise<string> {
    const { clock, store, log } = this.#core
    const started = clock.now()
    let result: string
    let failure: unknown
    try {
      result = await task.run(this.#core, this)
    } catch (error) {
      failure = error
      result = `failed: ${SignalboxError.from(error).message}`
      log.error({ err: error, task: task.name }, 'a background task failed')
    }
    const nextAt = this.#nextOf(task, started)
    if (!task.quiet || result !== '') {
      const run = { at: started, durationMs: clock.now() - started, result: result || 'nothing to do', nextAt }
      await store.write((tx) => saveTaskRun(tx, task.name, run)).catch(() => undefined)
    }
    if (failure !== undefined) throw failure
    return result || 'nothing to do'
  }

  /** When the task runs next by itself; a run by hand leaves a later time that was set as it is. */
  #nextOf(task: Task, started: number): number | null {
    const interval = this.#intervalOf(task)
    if (interval > 0) return started + interval
    const due = this.#due.get(task.name)
    if (due !== undefined && due > started) return due
    const next = this.#cronOf(task)?.times.next(started) ?? null
    if (next === null) this.#due.delete(task.name)
    else this.#due.set(task.name, next)
    if (this.#started) this.#arm(task.name)
    return next
  }

  #intervalOf(task: Task): number {
    const time = this.#core.settings.taskTimes[task.name]
    return typeof time === 'number' ? time : 0
  }

  #cronOf(task: Task): { text: string; times: CronTimes } | undefined {
    const time = this.#core.settings.taskTimes[task.name]
    return typeof time === 'string' ? { text: time, times: parseCron(time) } : undefined
  }
}

/** Timers count the time that the process runs, tasks are due by the time of day: they are armed again on the way. */
const longestTimerMs = 60_000

function definitionOf(name: string): Task {
  const task = taskDefinitions.find((one) => one.name === name)
  if (!task) throw new SignalboxError('not_found', `no task ${JSON.stringify(name)}`)
  return task
}
