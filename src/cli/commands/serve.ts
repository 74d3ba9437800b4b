/** `signalbox serve`: the coordinator. */
import { readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { readSettings } from '../../config/read.js'
import { SettingsError } from '../../config/settings.js'
import { languageThreads } from '../../core/ci-config/language-pool.js'
import { SignalboxError } from '../../core/errors.js'
import { isStoreAway } from '../../core/store/wait.js'
import { Faults } from '../../faults.js'
import { packageRoot } from '../../package-root.js'
import { removeReadyFile, startServer, writeReadyFile } from '../../server.js'
import { Exit, exitCodes } from '../exit.js'
import { openLog } from '../log.js'
import { takeUncaught } from '../uncaught.js'

interface ServeOptions {
  config?: string
  dataDir?: string
  http?: string
  grpc?: string
  database?: string
  externalUrl?: string
  readyFile?: string
  logLevel?: string
  insecure?: boolean
  schema?: boolean
}

/** A stop that takes longer than this is an end. */
const stopWithinMs = 9000
const faultStopMs = 5000

/** Runs a coordinator until it is told to end, or with `schema` prints the schema of its settings. */
export async function serve(options: ServeOptions): Promise<void> {
  const { readyFile, schema, ...flags } = options
  if (schema) {
    const text = brotliDecompressSync(
      readFileSync(path.join(packageRoot(), 'dist/signalbox.schema.json.br')),
    ).toString()
    process.stdout.write(`${JSON.stringify(JSON.parse(text), null, 2)}\n`)
    return
  }
  const settings = settingsFrom(flags)
  const log = openLog(settings.logLevel)
  // Whatever this process and the git processes below it write is for nobody else to read.
  process.umask(0o077)
  let fault: unknown
  let stop: () => void = () => undefined
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  const fatal = (error: unknown) => {
    if (fault !== undefined) return
    fault = error
    log.fatal({ err: error }, 'this process cannot go on; start it again')
    setTimeout(() => process.exit(exitCodes.internalFault), faultStopMs).unref()
    stop()
  }
  const faults = new Faults(log, fatal)
  takeUncaught(fatal)
  if (readyFile) rmSync(readyFile, { force: true })

  const server = await startServer({ settings, log, language: languageThreads(), fatal, faults }).catch((error) => {
    throw startFailure(error)
  })
  // What fails until now is the start's; from now on others depend on this process.
  takeUncaught((error) => faults.take(error))
  if (readyFile) {
    await writeReadyFile(readyFile, server).catch(async (error: Error) => {
      await server.close()
      throw new Exit(exitCodes.usage, `--ready-file: ${error.message}`)
    })
  }
  if (server.passwordLink !== undefined) {
    const url = server.passwordLink
    const what = 'the administrator root sets a password here: good once, for a day'
    log.info({ url }, what)
    // It is made at the first start only: whoever logs less must see it too.
    if (!log.isLevelEnabled('info')) process.stderr.write(`signalbox: ${what}: ${url}\n`)
  }
  process.stdout.write(`signalbox ready ${server.httpUrl} ${server.grpcUrl}\n`)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop)

  await stopped
  const force = setTimeout(
    () => process.exit(fault === undefined ? exitCodes.done : exitCodes.internalFault),
    stopWithinMs,
  )
  if (readyFile) await removeReadyFile(readyFile)
  await server.close()
  clearTimeout(force)
  if (fault !== undefined) throw new Exit(exitCodes.internalFault)
  // Threads and pools that are still winding down must not hold up the stop.
  process.exit(exitCodes.done)
}

/** Settings, or the program's end with the place of the mistake. */
export function settingsFrom(flags: Parameters<typeof readSettings>[0]['flags']): ReturnType<typeof readSettings> {
  try {
    return readSettings({ flags, env: process.env, cwd: process.cwd() })
  } catch (error) {
    if (error instanceof SettingsError) throw new Exit(exitCodes.usage, error.message)
    throw error
  }
}

function startFailure(error: unknown): unknown {
  if (error instanceof SettingsError) return new Exit(exitCodes.usage, error.message)
  if (isStoreAway(error)) {
    const hint = 'is it running? database_wait says how long a start waits for it'
    return new Exit(exitCodes.databaseAway, (error as Error).message, hint)
  }
  if (error instanceof SignalboxError && error.code === 'conflict')
    return new Exit(exitCodes.heldByAnother, error.message)
  if (error instanceof SignalboxError && error.code !== 'internal') return new Exit(exitCodes.usage, error.message)
  const { syscall, message } = error as NodeJS.ErrnoException
  if (syscall === 'listen' || syscall === 'getaddrinfo') {
    return new Exit(exitCodes.usage, message, 'another program listens there? choose with --http and --grpc')
  }
  if (syscall === 'mkdir') return new Exit(exitCodes.usage, message, 'choose another folder with --data-dir')
  return error
}
