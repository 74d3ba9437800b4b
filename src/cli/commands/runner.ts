/** `signalbox runner create|list|show|pause|resume|drain|delete`. */
import { parseDuration } from '../../core/ci-config/duration.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { statusText, table } from '../terminal.js'

interface Runner {
  id: number
  description: string | null
  runner_type: string
  paused: boolean
  status: string
  tag_list?: string[]
}

interface CreateOptions {
  description?: string
  tags?: string
  runUntagged?: boolean
  project?: string
  group?: string
  jobLimit?: string
  json?: boolean
}

/** Makes a runner, and prints the token that it starts with. */
export async function createRunner(options: CreateOptions): Promise<void> {
  const { client, terminal, json } = openContext()
  if (options.project && options.group) throw new Exit(exitCodes.usage, '--project and --group exclude each other')
  const scope = options.project
    ? { runner_type: 'project_type', project_id: await idOf('projects', options.project) }
    : options.group
      ? { runner_type: 'group_type', group_id: await idOf('groups', options.group) }
      : { runner_type: 'instance_type' }
  const made = await client().post<{ id: number; token: string }>('/api/v4/user/runners', {
    ...scope,
    description: options.description ?? '',
    tag_list: options.tags ?? '',
    ...(options.jobLimit === undefined ? {} : { job_limit: options.jobLimit }),
    ...(options.tags && !options.runUntagged ? { run_untagged: false } : {}),
  })
  if (options.json) return json(made)
  terminal.say(`runner ${made.id} created; its token is shown this once:`)
  terminal.out(made.token)

  async function idOf(kind: string, path: string): Promise<number> {
    if (/^\d+$/.test(path)) return Number(path)
    return (await client().get<{ id: number }>(`/api/v4/${kind}/${encodeURIComponent(path)}`)).id
  }
}

/** Prints all runners, a thousand at the most. */
export async function listRunners(options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const runners = await client().list<Runner>('/api/v4/runners/all', 1000)
  if (options.json) return json(runners)
  table(
    terminal,
    ['ID', 'STATUS', 'TYPE', 'DESCRIPTION'],
    runners.map((runner) => [
      String(runner.id),
      runner.paused ? 'paused' : runner.status,
      runner.runner_type.replace('_type', ''),
      runner.description ?? '',
    ]),
  )
}

/** Prints one runner. */
export async function showRunner(id: string, options: { json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const runner = await client().get<Runner>(`/api/v4/runners/${encodeURIComponent(id)}`)
  if (options.json) return json(runner)
  for (const [key, value] of Object.entries(runner)) {
    terminal.out(`${key}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
  }
}

/** Keeps a runner from new jobs, or lets it have them again. */
export async function pauseRunner(id: string, paused: boolean): Promise<void> {
  const { client, terminal } = openContext()
  const runner = await client().put<Runner>(`/api/v4/runners/${encodeURIComponent(id)}`, { paused })
  terminal.say(`runner ${runner.id} is ${paused ? statusText(terminal, 'paused') : 'taking jobs again'}`)
}

const drainPollMs = 500

/** Pauses the runner and waits until it has no job any more. */
export async function drainRunner(id: string, options: { timeout?: string }): Promise<void> {
  if (!/^\d+$/.test(id)) throw new Exit(exitCodes.usage, `${id} is not the id of a runner`)
  const seconds = options.timeout === undefined ? Number.POSITIVE_INFINITY : parseDuration(options.timeout)
  if (seconds === undefined) throw new Exit(exitCodes.usage, `--timeout: ${options.timeout} is not a duration`)
  const { client, terminal } = openContext()
  const until = performance.now() + seconds * 1000
  for (let before = -1; ; ) {
    const { open_leases: open } = await client().post<{ open_leases: number }>(`/api/signalbox/v1/runners/${id}/drain`)
    if (open === 0) return terminal.say(`runner ${id} is drained`)
    if (open !== before) terminal.say(`runner ${id} is paused, and has ${open} ${open === 1 ? 'job' : 'jobs'} to end`)
    before = open
    if (performance.now() > until) throw new Exit(exitCodes.timedOut, `runner ${id} still has ${open}`)
    await new Promise((resolve) => setTimeout(resolve, drainPollMs))
  }
}

/** Deletes a runner: its token is refused from now on. */
export async function deleteRunner(id: string): Promise<void> {
  const { client, terminal } = openContext()
  await client().delete(`/api/v4/runners/${encodeURIComponent(id)}`)
  terminal.say(`runner ${id} is deleted`)
}

/** Prints a new registration token. */
export async function makeRegistrationToken(options: {
  project?: string
  group?: string
  json?: boolean
}): Promise<void> {
  const { client, terminal, json } = openContext()
  const { project, group } = options
  if (project && group) throw new Exit(exitCodes.usage, 'give either --project or --group')
  const where = project
    ? `projects/${encodeURIComponent(project)}/runners`
    : group
      ? `groups/${encodeURIComponent(group)}/runners`
      : 'runners'
  const made = await client().post<{ token: string }>(`/api/v4/${where}/reset_registration_token`)
  if (options.json) return json(made)
  terminal.out(made.token)
}
