/** The log of commands that stay: apart, for the others start sooner without the library. */
import { type DestinationStream, type Logger, pino } from 'pino'

/**
 * The log of a program that serves others: JSON lines on stderr, and nothing else there; what Node warns of is one of them.
 * Where lines cannot be written any more they are lost.
 */
export function openLog(level: string): Logger {
  const lines = pino.destination({ fd: 2, sync: true })
  lines.on('error', () => undefined)
  const log = pino({ level }, lines as DestinationStream)
  process.removeAllListeners('warning')
  process.on('warning', (warning) => log.warn({ err: warning }, 'Node warns'))
  return log
}
