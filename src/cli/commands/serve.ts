/** `signalbox serve`: the coordinator. */
import { rmSync } from 'node:fs'
import { type DestinationStream, pino } from 'pino'
import { readSettings, SettingsError } from '../../config.js'
import { languageThreads } from '../../core/ci-config/language-pool.js'
import { SignalboxError } from '../../core/errors.js'
import { removeReadyFile, startServer, writeReadyFile } from '../../server.js'
import { Exit, exitCodes } from '../exit.js'

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
}

/** A stop that takes longer than this is an end. */
const stopWithinMs = 9000
const faultStopMs = 5000

export async function serve(options: ServeOptions): Promise<void> {
  const { readyFile, ...flags } = options
  const settings = settingsFrom(flags)
  const log = pino({ level: settings.logLevel }, pino.destination({ fd: 2, sync: true }) as DestinationStream)
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
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)
  if (readyFile) rmSync(readyFile, { force: true })

  const server = await startServer({ settings, log, language: languageThreads(), fatal }).catch((error) => {
    throw startFailure(error)
  })
  if (readyFile) {
    await writeReadyFile(readyFile, server).catch(async (error: Error) => {
      await server.close()
      throw new Exit(exitCodes.usage, `--ready-file: ${error.message}`)
    })
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
  if (fault !== undefined) throw new Exit(exitCodes.internalFault, 'ended after an internal fault')
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
