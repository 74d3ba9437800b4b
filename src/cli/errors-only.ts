/** A log for commands that talk to a person: errors only. */
import type { Log } from '../core/log.js'

/** A log for people at a terminal: only what went wrong is worth a line. */
export function errorsOnly(say: (line: string) => void): Log {
  const nothing = () => undefined
  return {
    debug: nothing,
    info: nothing,
    warn: nothing,
    error(fields, message) {
      const { err } = fields as { err?: unknown }
      say(
        err === undefined
          ? `error: ${message}`
          : `error: ${message}: ${err instanceof Error ? err.message : JSON.stringify(err)}`,
      )
    },
  }
}
