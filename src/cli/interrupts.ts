/** What the interrupt key and the end of the terminal do to `signalbox run`. */
import { exitCodes } from './exit.js'

/**
 * The first interrupt cancels the pipeline, once there is one; the next leaves at once. So does the end of the terminal:
 * nobody is there to press a key again.
 */
export class Interrupts {
  happened = false
  cancel: (() => Promise<unknown>) | undefined
  readonly #say: (line: string) => void

  constructor(say: (line: string) => void) {
    this.#say = say
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#interrupt)
    process.on('SIGHUP', hangUp)
  }

  ignore(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#interrupt)
    process.off('SIGHUP', hangUp)
  }

  readonly #interrupt = () => {
    if (this.happened || !this.cancel) return leave()
    this.happened = true
    this.#say('canceling; once more to leave at once')
    this.cancel().catch(() => undefined)
  }
}

function leave(): void {
  process.exit(exitCodes.interrupted)
}

/** Node aborts where it cannot give a terminal its modes back, so after a hang-up the process ends as the signal has it. */
function hangUp(): void {
  process.emit('exit', exitCodes.interrupted)
  process.removeAllListeners('SIGHUP')
  process.kill(process.pid, 'SIGHUP')
}
