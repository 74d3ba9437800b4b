/** What every command gets: the terminal, the environment, and a client when it first asks for one. */
import { Client, clientSettings } from './client.js'
import { projectOf } from './project-of.js'
import { openTerminal, type Terminal } from './terminal.js'

/** What a command gets. */
export interface Context {
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  client(): Client
  /** The project in question, ready to stand in a path of `/api/v4`. */
  project(given: string | undefined): string
  /** Prints a document for machines. */
  json(value: unknown): void
}

/** Returns the context of this process. Nothing is asked of a coordinator until `client` is. */
export function openContext(): Context {
  const terminal = openTerminal()
  const { env } = process
  const cwd = process.cwd()
  let client: Client | undefined
  const getClient = () => {
    client ??= new Client(clientSettings(env, cwd))
    return client
  }
  return {
    terminal,
    env,
    cwd,
    client: getClient,
    project: (given) => projectOf(given, env, cwd, getClient().url),
    json: (value) => terminal.out(JSON.stringify(value, null, 2)),
  }
}
