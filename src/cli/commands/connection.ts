/** `signalbox project connect|disconnect|statuses|requests|approve`. */
import { readFileSync } from 'node:fs'
import { type Context, openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { table } from '../terminal.js'

interface Connection {
  project_id: number
  path_with_namespace: string
  kind: string
  url: string
  forks: string
  job_statuses: boolean
  error: string | null
}

interface Report extends Connection {
  missing: string[]
  repaired: string[]
  broken: string[]
}

/** What may be said on the command line. */
export interface ConnectOptions {
  tokenFile?: string
  path?: string
  kind?: string
  forks?: string
  jobStatuses?: boolean
  check?: boolean
  json?: boolean
}

/** Makes a project of a repository on a forge; with `check` looks whether all is well and mends it. */
export async function connectProject(url: string, options: ConnectOptions): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const token = options.tokenFile === undefined ? undefined : tokenIn(options.tokenFile)
  const settings = {
    ...(token === undefined ? {} : { forge_token: token }),
    ...(options.forks === undefined ? {} : { forks: options.forks }),
    ...(options.jobStatuses === undefined ? {} : { job_statuses: options.jobStatuses }),
  }
  if (options.check) return checked(context, await routeOf(context, url, options.path), settings, options)
  if (token === undefined) throw new Exit(exitCodes.usage, 'a token is needed: --token-file FILE')
  const { kind, path } = options
  const made = await client().post<Connection>('/api/signalbox/v1/connections', {
    ...{ url, ...settings },
    // Forgejo's API is Gitea's for what is needed here.
    ...(kind === undefined ? {} : { kind: kind === 'forgejo' ? 'gitea' : kind }),
    ...(path === undefined ? {} : { path }),
  })
  if (options.json) return json(made)
  terminal.say(`project ${made.project_id} ${made.path_with_namespace} is connected to ${made.url} (${made.kind})`)
  terminal.say('pushes and pull requests make pipelines, and commits show their results')
  terminal.out(`${client().url}/${made.path_with_namespace}`)
}

async function checked(
  { client, terminal, json }: Context,
  route: string,
  settings: object,
  options: ConnectOptions,
): Promise<void> {
  const report = await client().put<Report>(route, settings)
  if (options.json) json(report)
  else {
    for (const line of report.repaired) terminal.say(`mended: ${line}`)
    for (const line of report.missing) terminal.say(`missing: ${line}`)
    for (const line of report.broken) terminal.say(`broken: ${line}`)
  }
  if (report.missing.length + report.broken.length > 0) {
    throw new Exit(exitCodes.failed, `${report.url} is not connected as it should be`)
  }
  if (!options.json) terminal.say(`${report.url} is connected to project ${report.path_with_namespace}`)
}

/** Undoes what `connect` has done; the project stays. */
export async function disconnectProject(url: string, options: { json?: boolean }): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const left = await client().remove<{ project_id: number; left: string | null }>(await routeOf(context, url))
  if (options.json) return json(left)
  if (left.left !== null) terminal.say(`warning: ${left.left}`)
  terminal.say(`project ${left.project_id} is connected to no forge any more; it keeps its code and pipelines`)
}

interface Status {
  sha: string
  context: string
  state: string
  told: boolean
  message: string | null
  description: string
}

/** Prints what commits show on the forge, newest first, and what has not arrived there yet. */
export async function listStatuses(url: string, options: { json?: boolean }): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const route = await routeOf(context, url)
  const { error } = await client().get<Connection>(route)
  const statuses = await client().list<Status>(`${route}/statuses`, 100)
  if (options.json) return json(statuses)
  if (error !== null) terminal.say(`the forge cannot be told: ${error}`)
  table(
    terminal,
    ['COMMIT', 'NAME', 'STATE', 'TOLD', 'DESCRIPTION'],
    statuses.map((one) => [
      one.sha.slice(0, 8),
      one.context,
      one.state,
      one.told ? (one.message ?? 'yes') : `no${one.message === null ? '' : `: ${one.message}`}`,
      one.description,
    ]),
  )
}

interface Request {
  number: number
  sha: string
  source_repository: string
  source_branch: string
  target_branch: string
  status: string
  pipeline_id: number | null
}

/** Prints requests of forks, newest head first. */
export async function listRequests(url: string, options: { json?: boolean }): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  const requests = await client().list<Request>(`${await routeOf(context, url)}/requests`, 100)
  if (options.json) return json(requests)
  table(
    terminal,
    ['REQUEST', 'COMMIT', 'FROM', 'INTO', 'STATUS', 'PIPELINE'],
    requests.map((one) => [
      String(one.number),
      one.sha.slice(0, 8),
      `${one.source_repository}:${one.source_branch}`,
      one.target_branch,
      one.status,
      String(one.pipeline_id ?? ''),
    ]),
  )
}

/** Lets the head of a fork's request run. */
export async function approveRequest(
  url: string,
  number: string,
  options: { sha?: string; json?: boolean },
): Promise<void> {
  const context = openContext()
  const { client, terminal, json } = context
  if (!/^[1-9]\d{0,14}$/.test(number)) throw new Exit(exitCodes.usage, `${number} is no number of a request`)
  const route = `${await routeOf(context, url)}/requests/${number}/approve`
  const made = await client().post<{ pipeline_id: number | null }>(
    route,
    options.sha === undefined ? {} : { sha: options.sha },
  )
  if (options.json) return json(made)
  if (made.pipeline_id === null) return terminal.say(`request ${number} is approved; there is nothing to run`)
  terminal.say(`request ${number} runs:`)
  terminal.out(String(made.pipeline_id))
}

function tokenIn(file: string): string {
  let text: string
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8').trim()
  } catch (error) {
    throw new Exit(exitCodes.usage, `the token cannot be read: ${(error as Error).message}`)
  }
  if (text === '' || /\s/.test(text)) throw new Exit(exitCodes.usage, `${file} does not hold one token`)
  return text
}

/** The address of a project's connection, by the project's id or path, or the repository's address where both are called the same. */
export async function routeOf({ client }: Context, given: string, path?: string): Promise<string> {
  const at = (project: string) => `/api/signalbox/v1/projects/${encodeURIComponent(project)}/connection`
  const address = /^(?:https?:\/\/[^/]+\/|[^/@]+@[^/:]+:)(.+?)(?:\.git)?\/*$/.exec(given)
  if (path !== undefined) return at(path)
  if (!address) return at(given)
  const parts = address[1]!.split('/')
  const names = [...new Set([parts.join('/'), parts.slice(-2).join('/')])]
  for (const name of names) {
    try {
      await client().get(at(name))
      return at(name)
    } catch (error) {
      // Whoever may not see all of it may for all that be allowed what comes next.
      if (error instanceof Exit && error.code === exitCodes.notAllowed) return at(name)
      if (!(error instanceof Exit && error.code === exitCodes.notFound)) throw error
    }
  }
  throw new Exit(exitCodes.notFound, `no project is connected to ${given}`, 'name the project by its path')
}
