/** `signalbox usage` and `signalbox usage limit`. */
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { printable } from '../printable.js'
import { table } from '../terminal.js'

interface Usage {
  month: string
  namespaces: {
    path: string
    minutes: number
    limit: number | null
    warning: string | null
    projects: { id: number; path: string | null; minutes: number; duration_s: number; jobs: number }[]
  }[]
}

/** Prints the compute minutes of a month. */
export async function showUsage(options: { month?: string; json?: boolean }): Promise<void> {
  const { client, terminal, json } = openContext()
  const query = options.month === undefined ? '' : `?month=${encodeURIComponent(options.month)}`
  const usage = await client().get<Usage>(`/api/signalbox/v1/usage${query}`)
  if (options.json) return json(usage)
  table(
    terminal,
    ['NAMESPACE', 'PROJECT', 'MINUTES', 'LIMIT', 'JOBS'],
    usage.namespaces.flatMap((namespace) => [
      [printable(namespace.path), '', String(namespace.minutes), String(namespace.limit ?? ''), ''],
      ...namespace.projects.map((project) => [
        '',
        printable(project.path ?? `deleted (${project.id})`),
        String(project.minutes),
        '',
        String(project.jobs),
      ]),
    ]),
  )
}

/** Sets how many compute minutes a namespace has each month; `none`: as many as it wants. */
export async function limitUsage(namespace: string, given: string): Promise<void> {
  if (given !== 'none' && !/^\d+$/.test(given))
    throw new Exit(exitCodes.usage, `${given} is not a number of minutes, nor none`)
  const minutes = given === 'none' ? null : Number(given)
  const { client, terminal } = openContext()
  await client().put(`/api/signalbox/v1/usage/limits/${encodeURIComponent(namespace)}`, { minutes })
  terminal.say(minutes === null ? `${namespace}: no limit` : `${namespace}: ${minutes} minutes a month`)
}
