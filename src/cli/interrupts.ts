/** What the interrupt key and the end of the terminal do to `signalbox run`. */
import { exitCodes } from './exit.js'

/**
 * The first interrupt cancels the pipeline, once there is one; the next leaves at once. So do the end of the terminal, as
 * nobody is there to press a key again, and SIGQUIT.
 */
export class Interrupts {
  happened = false
  cancel: (() => Promise<unknown>) | undefined
  #waiting: (() => void) | undefined
  readonly #say: (line: string) => void

  constructor(say: (line: string) => void) {
    this.#say = say
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#interrupt)
    for (const signal of endings) process.on(signal, end)
  }

  /** Resolves at the next interrupt, which then does nothing else. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  ignore(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#interrupt)
    for (const signal of endings) process.off(signal, end)
  }

  readonly #interrupt = () => {
    if (this.#waiting) return this.#waiting()
    if (this.happened || !this.cancel) return leave()
    this.happened = true
    this.#say('canceling; once more to leave at once')
    this.cancel().catch(() => undefined)
  }
}

function leave(): void {
  process.exit(exitCodes.interrupted)
}

/** The end of the terminal, and the key that asks for a dump. */
const endings = ['SIGHUP', 'SIGQUIT'] as const

/**
 * Node aborts where it cannot give a terminal its modes back, so after a hang-up the process ends as the signal has it, when
 * what it has made is removed.
 */
function end(signal: NodeJS.Signals): void {
  process.emit('exit', exitCodes.interrupted)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
}
