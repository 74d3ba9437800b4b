/** `signalbox runner import config.toml` and `signalbox runner verify`: on the runner's host. */
import { readFileSync } from 'node:fs'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { importLines, importRunnerConfig, RunnerConfigError } from '../runner-config.js'

/** Says what to change in a GitLab Runner's configuration; changes nothing. */
export function importRunners(file: string, options: { url?: string; json?: boolean }): void {
  const { terminal, env, json } = openContext()
  const url = options.url ?? env.SIGNALBOX_URL ?? 'http://127.0.0.1:8080'
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new Exit(exitCodes.usage, `cannot read ${file}: ${(error as Error).message}`)
  }
  try {
    const runners = importRunnerConfig(text, url)
    if (options.json) json(runners)
    else for (const line of importLines(runners)) terminal.out(line)
  } catch (error) {
    if (!(error instanceof RunnerConfigError)) throw error
    const place = error.line === undefined ? '' : `:${error.line}:${error.column}`
    throw new Exit(exitCodes.usage, `${file}${place}: ${error.message}`)
  }
}

/** Whether the coordinator knows the runner's token. */
export async function verifyRunner(options: { url?: string; token?: string; json?: boolean }): Promise<void> {
  const { terminal, env, json } = openContext()
  const url = (options.url ?? env.SIGNALBOX_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '')
  const token = options.token ?? env.SIGNALBOX_RUNNER_TOKEN
  if (!token) throw new Exit(exitCodes.usage, 'no token: set SIGNALBOX_RUNNER_TOKEN, or give --token')
  const address = url.replace(/^ws/, 'http')
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) {
    throw new Exit(exitCodes.usage, `a token is verified over HTTP: ${url} is no such address`)
  }
  let response: Response
  try {
    response = await fetch(`${address}/api/v4/runners/verify`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
      redirect: 'error',
      signal: AbortSignal.timeout(30_000),
    })
  } catch (error) {
    throw new Exit(exitCodes.unreachable, `no answer from ${address}: ${(error as Error).message}`)
  }
  if (response.status === 403) throw new Exit(exitCodes.notAllowed, 'the coordinator does not know this token')
  const runner = response.ok
    ? ((await response.json().catch(() => undefined)) as { id?: number } | undefined)
    : undefined
  if (runner?.id === undefined) throw new Exit(exitCodes.unreachable, `${address} answered ${response.status}`)
  if (options.json) return json({ id: runner.id, url: address })
  terminal.out(`runner ${runner.id} is known to ${address}`)
}
