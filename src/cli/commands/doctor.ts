/** `signalbox doctor`: looks for what would keep this machine, or the coordinator it speaks to, from working. */
import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { tlsTrouble } from '../../runner/client-tls.js'
import { openContext } from '../context.js'
import { Exit, exitCodes } from '../exit.js'
import { clientTls, fetchBy } from '../tls-fetch.js'
import type { PluginEntity } from './plugin.js'

interface Check {
  name: string
  ok: boolean
  /** Not right, but not fatal. */
  warning?: boolean
  says: string
}

/** Prints each check with what to do about it. Throws `Exit` when one has failed. */
export async function doctor(options: { json?: boolean }): Promise<void> {
  const { terminal, json, env } = openContext()
  const checks = [
    node(),
    git(),
    shell(),
    disk(),
    syncTime(),
    await sqlite(),
    ...(await coordinator(env)),
    ...(await plugins()),
  ]
  if (options.json) json(checks)
  else {
    for (const check of checks) {
      const { colors } = terminal
      const mark = check.ok ? (check.warning ? colors.yellow('!') : colors.green('✓')) : colors.red('✗')
      terminal.out(`${mark} ${check.name}: ${check.says}`)
    }
  }
  if (checks.some((check) => !check.ok)) throw new Exit(exitCodes.failed)
}

function node(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const ok = major > 20 || (major === 20 && minor >= 19)
  return { name: 'node', ok, says: `${process.version}${ok ? '' : '; 20.19 or newer is needed'}` }
}

function git(): Check {
  try {
    const version = execFileSync('git', ['version'], { encoding: 'utf8' }).trim()
    execFileSync('git', ['http-backend'], {
      stdio: ['ignore', 'ignore', 'ignore'],
      env: { ...process.env, GIT_PROJECT_ROOT: '/' },
    })
    return { name: 'git', ok: true, says: version }
  } catch (error) {
    // http-backend without a request ends with a status of its own; that it runs at all is what matters.
    const runs = typeof (error as { status?: unknown }).status === 'number'
    return { name: 'git', ok: runs, says: runs ? 'git with http-backend' : 'git was not found' }
  }
}

function shell(): Check {
  try {
    const version = execFileSync('bash', ['-c', 'echo "$BASH_VERSION"'], { encoding: 'utf8' }).trim()
    return { name: 'shell', ok: true, says: `bash ${version}` }
  } catch {
    return { name: 'shell', ok: true, warning: true, says: 'no bash: the shell executor uses sh' }
  }
}

const leastFreeBytes = 1024 ** 3

function disk(): Check {
  const { bavail, bsize } = statfsSync('.')
  const free = bavail * bsize
  const says = `${(free / 1024 ** 3).toFixed(1)} GiB free here`
  return { name: 'disk', ok: true, warning: free < leastFreeBytes, says }
}

const slowSyncMs = 5

/** The writer waits for the disk on the main thread: a slow one is felt by everybody. */
function syncTime(): Check {
  const folder = mkdtempSync(path.join('.', '.signalbox-doctor-'))
  try {
    const fd = openSync(path.join(folder, 'probe'), 'w')
    const times: number[] = []
    for (let i = 0; i < 20; i++) {
      const started = performance.now()
      writeSync(fd, 'x'.repeat(1024))
      fdatasyncSync(fd)
      times.push(performance.now() - started)
    }
    closeSync(fd)
    const median = times.sort((a, b) => a - b)[10]!
    return { name: 'disk sync', ok: true, warning: median > slowSyncMs, says: `${median.toFixed(2)} ms a sync` }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function sqlite(): Promise<Check> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-doctor-'))
  try {
    const { SqliteConnection } = await import('../../core/store/sqlite-connection.js')
    const connection = new SqliteConnection(path.join(folder, 'probe.db'))
    const version = connection.raw.prepare('select sqlite_version()').pluck().get()
    connection.close()
    return { name: 'sqlite', ok: true, says: `${String(version)}, synchronous=FULL` }
  } catch (error) {
    return { name: 'sqlite', ok: false, says: (error as Error).message }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Plugins that are not in use although they are configured. Nothing if nobody answers, or it is not ours to ask. */
async function plugins(): Promise<Check[]> {
  try {
    const { client } = openContext()
    const list = await client().get<PluginEntity[]>('/api/signalbox/v1/plugins')
    const broken = list.filter(({ state }) => state === 'degraded')
    if (broken.length === 0) return [{ name: 'plugins', ok: true, says: `${list.length}, all well` }]
    return broken.map(({ id, health, last_error: why }) => ({
      name: 'plugin',
      ok: true,
      warning: true,
      says: `${id}: ${health}${why === null ? '' : ` (${why})`}`,
    }))
  } catch {
    return []
  }
}

const longestSkewMs = 60_000

/** Only if one is named, or answers at the default address. */
async function coordinator(env: NodeJS.ProcessEnv): Promise<Check[]> {
  const url = (env.SIGNALBOX_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '')
  try {
    const answer = await fetchBy(clientTls(env))(`${url}/-/ready`, { signal: AbortSignal.timeout(5000) })
    const skew = Math.abs(Date.parse(answer.headers.get('date') ?? '') - Date.now())
    return [
      { name: 'coordinator', ok: answer.ok, says: `${url} ${answer.ok ? 'is ready' : 'is not ready'}` },
      {
        name: 'clock',
        ok: true,
        warning: skew > longestSkewMs,
        says: `${Math.round(skew / 1000)} s apart from the coordinator`,
      },
    ]
  } catch (error) {
    const trouble = tlsTrouble((error as Error).cause ?? error)
    if (trouble !== undefined) return [{ name: 'coordinator', ok: false, says: `${url}: ${trouble}` }]
    const named = env.SIGNALBOX_URL !== undefined
    return [{ name: 'coordinator', ok: !named, warning: true, says: `nothing answers at ${url}` }]
  }
}
