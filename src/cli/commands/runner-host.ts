/** `signalbox runner list --config|verify|status`: the runners of this host's file, and what the coordinator says of each. */
import type { RunnerEntry } from '../../config/runner-file.js'
import type { TlsFileNames } from '../../runner/client-tls.js'
import { shortToken } from '../../runner/identity.js'
import { heldJobs } from '../../runner/spool.js'
import { holderOf } from '../../runner/work-folder.js'
import { type Asked, askAbout } from '../ask-coordinator.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { findRunnerFile, readRunnerFileOrExit } from '../runner-file-of.js'
import { runnerToken, type TokenOptions } from '../runner-token.js'
import { table } from '../terminal.js'
import { clientTls } from '../tls-fetch.js'

interface HostOptions {
  config?: string
  json?: boolean
}

/** Prints all that is configured, with its id and status at its coordinator. */
export async function listHostRunners(options: HostOptions): Promise<void> {
  const { terminal, json } = openContext()
  const { file, runners } = readRunnerFileOrExit(options.config)
  const rows = await Promise.all(
    runners.map(async (entry) => ({ entry, asked: await askAbout(entry.url, entry.token, clientTls({}, entry.tls)) })),
  )
  if (options.json) return json(rows.map(({ entry, asked }) => ({ ...shown(entry), coordinator: asked })))
  terminal.say(`runners of ${file}`)
  table(
    terminal,
    ['NAME', 'EXECUTOR', 'LIMIT', 'TOKEN', 'URL', 'ID', 'STATUS', 'TAGS'],
    rows.map(({ entry, asked }) => [
      entry.name,
      entry.executor,
      String(entry.limit),
      shortToken(entry.token),
      entry.url,
      asked.is === 'known' ? String(asked.runner.id) : '',
      sentenceOf(asked),
      asked.is === 'known' ? asked.runner.tag_list.join(',') : '',
    ]),
  )
}

/**
 * Whether the coordinator knows the token that is given, or without one each of the file's. Ends with 4 if one is refused, with
 * 6 if one got no answer.
 */
export async function verifyRunners(
  options: HostOptions & TokenOptions & TlsFileNames & { url?: string },
): Promise<void> {
  const { terminal, env, json } = openContext()
  const token = runnerToken(options)
  if (token === undefined) {
    if (options.config === undefined && findRunnerFile(undefined) === undefined) {
      throw new Exit(
        exitCodes.usage,
        'no token: set SIGNALBOX_RUNNER_TOKEN, give --token-file or --token, or --config FILE',
      )
    }
    return verifyHostRunners(options)
  }
  const url = (options.url ?? env.SIGNALBOX_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '')
  const asked = await askAbout(url, token, clientTls(env, options))
  if (asked.is === 'refused') throw new Exit(exitCodes.notAllowed, 'the coordinator does not know this token')
  if (asked.is === 'not asked')
    throw new Exit(exitCodes.usage, `a token is verified over HTTP: ${url} is no such address`)
  if (asked.is === 'unreachable') throw new Exit(exitCodes.unreachable, asked.message)
  if (options.json) return json({ id: asked.runner.id, url })
  terminal.out(`runner ${asked.runner.id} is known to ${url}`)
}

async function verifyHostRunners(options: HostOptions): Promise<void> {
  const { terminal, json } = openContext()
  const { runners } = readRunnerFileOrExit(options.config)
  const asked = await Promise.all(
    runners.map(async (entry) => ({ entry, said: await askAbout(entry.url, entry.token, clientTls({}, entry.tls)) })),
  )
  if (options.json) json(asked.map(({ entry, said }) => ({ name: entry.name, url: entry.url, ...said })))
  else for (const { entry, said } of asked) terminal.out(`${entry.name}: ${verdictOf(entry, said)}`)
  const are = new Set(asked.map(({ said }) => said.is))
  if (are.has('refused')) throw new Exit(exitCodes.notAllowed)
  if (are.has('unreachable')) throw new Exit(exitCodes.unreachable)
}

/** Says for each runner of the file whether a process runs it here, and its jobs. Ends with 1 if one does not run. */
export async function showHostStatus(options: HostOptions): Promise<void> {
  const { terminal, json } = openContext()
  const { file, runners } = readRunnerFileOrExit(options.config)
  const rows = runners.map((entry) => ({ entry, pid: holderOf(entry.workDir), jobs: heldJobs(entry.workDir) }))
  const pids = [...new Set(rows.flatMap(({ pid }) => pid ?? []))]
  if (options.json) json(rows.map(({ entry, pid, jobs }) => ({ ...shown(entry), pid: pid ?? null, jobs })))
  else {
    terminal.say(pids.length === 0 ? `${file}: nothing runs` : `${file}: process ${pids.join(', ')}`)
    const states = rows.map(({ entry, pid, jobs }) => [
      entry.name,
      pid === undefined ? 'stopped' : 'running',
      jobs.map(({ jobId, ended }) => (ended ? `${jobId} (to be reported)` : String(jobId))).join(', '),
    ])
    table(terminal, ['NAME', 'STATE', 'JOBS'], states)
  }
  if (rows.some(({ pid }) => pid === undefined)) throw new Exit(exitCodes.failed)
}

/** Everything but its token. */
function shown({ name, url, token, executor, limit, workDir }: RunnerEntry): object {
  return { name, executor, limit, short_token: shortToken(token), url, work_dir: workDir }
}

function sentenceOf(asked: Asked): string {
  if (asked.is === 'known') return asked.runner.paused ? 'paused' : asked.runner.status
  return asked.is === 'refused' ? 'token refused' : asked.message
}

function verdictOf(entry: RunnerEntry, asked: Asked): string {
  if (asked.is === 'known') return `runner ${asked.runner.id} is known to ${entry.url}`
  return asked.is === 'refused' ? `${entry.url} does not know this token` : asked.message
}
