/** Who is told of exceptions that nobody caught: one listener for the whole program, and who takes its place. */
import { exitCodes } from './exit.js'

let listener = endWithFault

/** From now on: what nobody has caught, and what writing to stdout or stderr fails with. For the program's first line. */
export function watchProcess(): void {
  // Rejections that nobody handles come here too.
  process.on('uncaughtException', (error) => listener(error))
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A reader that has gone (`| head`) is no fault, but nobody can say that all was done.
      if (error.code === 'EPIPE') process.exit(exitCodes.unread)
      if (stream === process.stdout) process.stderr.write(`signalbox: the output cannot be written: ${error.message}\n`)
      process.exit(exitCodes.internalFault)
    })
  }
}

/** Another listener than the one that ends the program: for those that serve others. It must not throw. */
export function takeUncaught(take: (error: unknown) => void): void {
  listener = take
}

function endWithFault(error: unknown): void {
  process.stderr.write(`signalbox: internal fault: ${(error as Error).stack ?? String(error)}\n`)
  process.exit(exitCodes.internalFault)
}
