/** `signalbox task list|run|pause|resume`. */
import { openContext } from '../context.js'
import { table } from '../terminal.js'

interface Task {
  name: string
  what: string
  paused: boolean
  interval_ms: number
  cron: string | null
  last_run_at: string | null
  next_run_at: string | null
  last_result: string | null
}

/** Prints all background tasks. */
export async function listTasks(options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const tasks = await client().get<Task[]>('/api/signalbox/v1/tasks')
  if (options.json) return json(tasks)
  table(
    terminal,
    ['NAME', 'STATE', 'LAST RUN', 'NEXT RUN', 'RESULT'],
    tasks.map((task) => [
      task.name,
      task.paused ? 'paused' : task.interval_ms === 0 && task.cron === null ? 'inline' : 'active',
      task.last_run_at ?? '',
      task.next_run_at ?? '',
      task.last_result ?? '',
    ]),
  )
}

/** Runs a task now, or keeps it from running by itself. */
export async function changeTask(verb: 'run' | 'pause' | 'resume', name: string): Promise<void> {
  const { client, terminal } = openContext()
  const task = await client().post<{ result?: string }>(`/api/signalbox/v1/tasks/${encodeURIComponent(name)}/${verb}`)
  const said = { run: task.result ?? 'done', pause: 'paused', resume: 'active again' }[verb]
  terminal.say(`${name}: ${said}`)
}
