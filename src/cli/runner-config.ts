/**
 * What a GitLab Runner's `config.toml` means here: what must change for that runner to work for this coordinator, and how
 * the reference runner would be started in its place, with what has no counterpart there.
 * Keys: https://docs.gitlab.com/runner/configuration/advanced-configuration/
 */
import { parse, TomlError } from 'smol-toml'
import { type OwnEntry, ownEntry } from './own-entry.js'
import { runnerFileText } from './write-runner-file.js'

/** One `[[runners]]` of the file, and what its owner has to do. */
export interface RunnerImport {
  name: string
  executor: string
  /** Settings to change so that GitLab Runner works for this coordinator; everything else stays. */
  changes: { key: string; from: string | null; to: string; why: string }[]
  /** Settings that GitLab Runner keeps and that do nothing with this coordinator. */
  idle: { key: string; why: string }[]
  own: {
    /** How the reference runner is started; null: it has no such executor. */
    command: string | null
    /** How `signalbox-runner.toml` has it; null as well. */
    file: OwnEntry | null
    /** Settings that have no counterpart there. */
    missing: { key: string; why: string }[]
  }
}

/** The text is not such a file. `line` and `column` count from 1. */
export class RunnerConfigError extends Error {
  override readonly name = 'RunnerConfigError'
  constructor(
    message: string,
    readonly line?: number,
    readonly column?: number,
  ) {
    super(message)
  }
}

type Table = Record<string, unknown>

/** Settings of the whole file, and what becomes of them in the reference runner; empty: nothing is lost. */
const globalKeys: Record<string, string> = {
  concurrent: '',
  check_interval: '',
  shutdown_timeout: 'a second signal stops what runs',
  listen_address: '',
  log_level: '',
  log_format: 'logs are JSON lines',
  sentry_dsn: 'errors go to the log only',
  connection_max_age: '',
  session_server: 'there are no web terminals',
}

/** The same for one runner. What is not named here is told to be unknown. */
const runnerKeys: Record<string, string> = {
  name: '',
  url: '',
  id: '',
  token: '',
  token_obtained_at: '',
  token_expires_at: '',
  limit: '',
  executor: '',
  builds_dir: '',
  request_concurrency: '',
  strict_check_interval: '',
  unhealthy_requests_limit: '',
  unhealthy_interval: '',
  job_status_final_update_retry_limit: '',
  clone_url: 'jobs fetch from the address that the coordinator names',
  cache_dir: 'caches are kept by the coordinator',
  cache: 'caches are kept by the coordinator',
  shell: 'jobs run in bash, or sh where there is none',
  output_limit: 'the coordinator limits logs, to 100 MiB',
  environment: 'set variables on the instance, a group or a project',
  pre_get_sources_script: 'use hooks:pre_get_sources_script',
  post_get_sources_script: 'there is no hook after the sources',
  pre_clone_script: 'use hooks:pre_get_sources_script',
  post_clone_script: 'there is no hook after the sources',
  pre_build_script: 'use default:before_script',
  post_build_script: 'use default:after_script',
  feature_flags: 'there are none',
  custom_build_dir: 'GIT_CLONE_PATH is not followed outside the work folder',
  referees: 'metrics of jobs are not collected',
  monitoring: '',
  'tls-ca-file': 'NODE_EXTRA_CA_CERTS names further authorities',
  'tls-cert-file': 'certificates of clients are not sent',
  'tls-key-file': 'certificates of clients are not sent',
  docker: '',
  kubernetes: 'there is no such executor',
  machine: 'there is no autoscaling',
  autoscaler: 'there is no autoscaling',
  custom: '',
  ssh: 'there is no such executor',
  parallels: 'there is no such executor',
  virtualbox: 'there is no such executor',
}

/** Reads the file. `url`: the coordinator's. Throws `RunnerConfigError`. */
export function importRunnerConfig(text: string, url: string): RunnerImport[] {
  const file = parsed(text)
  const runners = file.runners
  if (!Array.isArray(runners) || runners.length === 0) throw new RunnerConfigError('there are no [[runners]] in it')
  const globals = Object.keys(file).filter((key) => key !== 'runners')
  return runners.map((entry, i) => {
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
      throw new RunnerConfigError(`runners[${i}] is not a table`)
    }
    return importRunner(entry as Table, { file, globals, url, i })
  })
}

function parsed(text: string): Table {
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof TomlError) {
      throw new RunnerConfigError(error.message.split('\n', 1)[0]!, error.line, error.column)
    }
    throw error
  }
}

function importRunner(
  runner: Table,
  { file, globals, url, i }: { file: Table; globals: string[]; url: string; i: number },
): RunnerImport {
  const name = textOf(runner.name) ?? `runner ${i + 1}`
  const executor = textOf(runner.executor) ?? ''
  const lost = (key: string, table: Record<string, string>) =>
    Object.hasOwn(table, key) ? table[key]! : 'unknown here'
  const token = keptToken(runner, url)
  const own = ownEntry(runner, { name, url, token, executor }) ?? null
  const missing = [
    ...globals.map((key) => ({ key, why: lost(key, globalKeys) })),
    ...Object.keys(runner).map((key) => ({ key: `runners.${key}`, why: lost(key, runnerKeys) })),
    ...(own?.missing ?? []),
  ].filter(({ why }) => why !== '')
  return {
    name,
    executor,
    changes: changesOf(runner, name, url),
    idle: 'session_server' in file ? [{ key: 'session_server', why: 'there are no web terminals' }] : [],
    own: { command: commandOf(runner, file, executor, url), file: own, missing },
  }
}

/** The token of a runner that is at this coordinator is this coordinator's. */
function keptToken(runner: Table, url: string): string | undefined {
  const token = textOf(runner.token)
  return isSameAddress(textOf(runner.url), url) && token?.startsWith('glrt-') ? token : undefined
}

function changesOf(runner: Table, name: string, url: string): RunnerImport['changes'] {
  const token = textOf(runner.token)
  const isHere = isSameAddress(textOf(runner.url), url)
  const keepsToken = keptToken(runner, url) !== undefined
  return [
    ...(isHere ? [] : [{ key: 'url', from: textOf(runner.url) ?? null, to: url, why: 'the coordinator' }]),
    ...(keepsToken
      ? []
      : [
          {
            key: 'token',
            // Enough to know it again, and no more.
            from: token === undefined ? null : `${token.slice(0, 8)}…`,
            to: 'glrt-…',
            why: `from: signalbox runner create --description ${quoted(name)} (tags are the coordinator’s: --tags A,B)`,
          },
          ...['id', 'token_obtained_at', 'token_expires_at']
            .filter((key) => key in runner)
            .map((key) => ({
              key,
              from: shown(runner[key]),
              to: 'take it out',
              why: 'it belongs to the old token',
            })),
        ]),
    ...(textOf(runner.clone_url) && !isSameAddress(textOf(runner.clone_url), url)
      ? [{ key: 'clone_url', from: textOf(runner.clone_url)!, to: url, why: 'or take it out: jobs fetch from here' }]
      : []),
  ]
}

function isSameAddress(one: string | undefined, other: string): boolean {
  const plain = (text: string) => text.replace(/\/+$/, '')
  return one !== undefined && plain(one) === plain(other)
}

/** A date as the file has it. */
function shown(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value)
}

function commandOf(runner: Table, file: Table, executor: string, url: string): string | null {
  if (['docker', 'custom'].includes(executor))
    return 'signalbox runner start --config signalbox-runner.toml   # as --write makes it'
  if (executor !== 'shell') return null
  const jobs = Math.max(1, Math.min(numberOf(runner.limit) || Infinity, numberOf(file.concurrent) || 1))
  const builds = textOf(runner.builds_dir)
  const folder = builds === undefined ? '' : ` --work-dir ${quoted(builds)}`
  return `SIGNALBOX_RUNNER_TOKEN=glrt-… signalbox runner start --url ${quoted(url)} --executor ${executor} --concurrency ${jobs}${folder}`
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** For people. */
export function importLines(runners: readonly RunnerImport[]): string[] {
  return runners.flatMap(({ name, executor, changes, idle, own }) => [
    `runner ${name} (executor ${executor || 'unknown'})`,
    '  as GitLab Runner, changing in config.toml:',
    ...(changes.length === 0 ? ['    nothing: it is at this coordinator'] : []),
    ...changes.map(({ key, from, to, why }) => `    ${key}: ${from ?? '(none)'} -> ${to}   # ${why}`),
    ...idle.map(({ key, why }) => `    ${key} may stay and does nothing: ${why}`),
    ...(own.command === null
      ? [`  as Signalbox's own runner: there is no executor ${executor || 'of that kind'}`]
      : ["  as Signalbox's own runner:", `    ${own.command}`]),
    ...(own.command === null || own.missing.length === 0
      ? []
      : ['    without a counterpart:', ...own.missing.map(({ key, why }) => `      ${key}: ${why}`)]),
  ])
}

/** A `signalbox-runner.toml` of those that can be moved, and what is still to be done for it. */
export function runnerFileOf(
  text: string,
  runners: readonly RunnerImport[],
): { text: string; todo: string[]; left: RunnerImport[] } {
  const { concurrent } = parsed(text)
  const seen = new Map<string, number>()
  const moved = runners.flatMap(({ own }) => own.file ?? [])
  const entries = moved.map(({ entry }) => {
    const count = (seen.get(entry.name) ?? 0) + 1
    seen.set(entry.name, count)
    return count === 1 ? entry : { ...entry, name: `${entry.name} ${count}` }
  })
  return {
    text: runnerFileText({ concurrent: numberOf(concurrent) ?? 1 }, entries),
    todo: moved.flatMap(({ entry, tokenFile }) =>
      tokenFile === undefined
        ? []
        : [`(umask 077; signalbox runner create --description ${quoted(entry.name)} > ${quoted(tokenFile)})`],
    ),
    left: runners.filter(({ own }) => own.file === null),
  }
}
