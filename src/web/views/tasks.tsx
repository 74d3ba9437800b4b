/** Background tasks: when each runs next, what came of the last time, and buttons to run or pause it. */
import { useEffect } from 'preact/hooks'
import { own } from '../api.js'
import { useData } from '../data.js'
import { Action } from '../parts/action.js'
import { Empty, Loading, Refused, Table, When } from '../parts/bits.js'
import { duration } from '../time.js'

interface Task {
  name: string
  description: string
  paused: boolean
  interval_ms: number
  cron: string | null
  last_run_at: string | null
  next_run_at: string | null
  last_duration_ms: number | null
  last_result: string | null
}

export type TaskTab = 'scheduled' | 'running' | 'done' | 'failed'

const failed = (task: Task) => /^(failed|error)/i.test(task.last_result ?? '')
const running = (task: Task) => task.last_result === 'running'

/** Which tasks a tab shows. */
export function tasksOf(tab: TaskTab, tasks: readonly Task[]): Task[] {
  switch (tab) {
    case 'scheduled':
      return tasks
        .filter((task) => task.next_run_at !== null || task.interval_ms === 0)
        .sort((a, b) => (a.next_run_at ?? '~').localeCompare(b.next_run_at ?? '~'))
    case 'running':
      return tasks.filter(running)
    case 'done':
      return tasks.filter((task) => task.last_run_at !== null && !failed(task) && !running(task))
    case 'failed':
      return tasks.filter(failed)
  }
}

/** The table. Tasks make no events: they are asked for every few seconds. */
export function Tasks({ tab }: { tab: TaskTab }) {
  const { data, error, reload } = useData<Task[]>(`${own}/tasks`)
  useEffect(() => {
    const timer = setInterval(reload, 3000)
    return () => clearInterval(timer)
  }, [reload])
  if (error && error.status !== 0) return <Refused error={error} />
  if (!data) return <Loading />
  const tasks = tasksOf(tab, data)
  if (tasks.length === 0)
    return (
      <Empty
        title={`No background task ${tab === 'failed' ? 'has failed' : tab === 'running' ? 'is running' : 'is here'}`}
      />
    )
  return (
    <Table caption="Background tasks" columns={['Task', 'Next', 'Every', 'Last', 'Took', 'Result', 'Actions']}>
      {tasks.map((task) => (
        <tr key={task.name}>
          <td class="wrap">
            <span class="code">{task.name}</span>
            <div class="dim small">{task.description}</div>
          </td>
          <td>{task.paused ? <span class="tag">paused</span> : <When time={task.next_run_at} absent="inline" />}</td>
          <td>{task.cron ?? (task.interval_ms === 0 ? 'when it is due' : duration(task.interval_ms))}</td>
          <td>
            <When time={task.last_run_at} absent="never" />
          </td>
          <td class="figure">{task.last_duration_ms === null ? '' : duration(task.last_duration_ms)}</td>
          <td class={failed(task) ? 'bad wrap' : 'dim'}>{task.last_result}</td>
          <td>
            <span class="row">
              <Action
                label="Run now"
                name={`Run now: ${task.name}`}
                path={`${own}/tasks/${task.name}/run`}
                onDone={reload}
              />
              <Action
                label={task.paused ? 'Resume' : 'Pause'}
                name={`${task.paused ? 'Resume' : 'Pause'} ${task.name}`}
                path={`${own}/tasks/${task.name}/${task.paused ? 'resume' : 'pause'}`}
                onDone={reload}
              />
            </span>
          </td>
        </tr>
      ))}
    </Table>
  )
}
