/** Faults that nobody caught: counted and logged, except those of storage, which end the process. */
import type { Log } from './core/log.js'

/** Faults that storage reports of itself: nothing that is said after them can be trusted. */
const storageFault = /^(SQLITE_(IOERR|CORRUPT|NOTADB)|EIO$|EROFS$)/

export class Faults {
  readonly #log: Log
  readonly #fatal: (error: unknown) => void
  #uncaught = 0

  /** `fatal`: ends the process in an orderly way; called for a fault of storage. */
  constructor(log: Log, fatal: (error: unknown) => void = () => undefined) {
    this.#log = log
    this.#fatal = fatal
  }

  /** How many there were since the start. */
  get uncaught(): number {
    return this.#uncaught
  }

  /** Takes an exception that came to the process. Never throws. */
  take(error: unknown): void {
    this.#uncaught++
    if (isStorageFault(error)) this.#fatal(error)
    else this.#log.error({ err: error }, 'a fault that nobody caught; the process goes on')
  }
}

function isStorageFault(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (storageFault.test(String((at as NodeJS.ErrnoException).code))) return true
  }
  return false
}
