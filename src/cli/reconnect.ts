/** Follows a stream of the coordinator across its restarts. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Exit, exitCodes } from './exit.js'

const pauseMs = 500

/**
 * Follows something on the coordinator to its end, also across a restart of it: what breaks off is begun again for a
 * minute. Throws what `read` throws when the coordinator was never there, or when it does not come back.
 */
export async function followToEnd(options: {
  /** Reads from where it was until the coordinator ends the stream; calls `alive` at each piece. Returns whether that was the end. */
  read: (alive: () => void) => Promise<boolean>
  signal: AbortSignal
  say: (line: string) => void
  /** How long to wait for a coordinator that has gone, in milliseconds; a minute if it is missing. */
  patienceMs?: number
}): Promise<void> {
  const { read, signal, say, patienceMs = 60_000 } = options
  let heard = false
  let goneAt: number | undefined
  const alive = () => {
    heard = true
    goneAt = undefined
  }
  for (;;) {
    const broken = await read(alive).then(
      (ended) => (ended ? undefined : new Exit(exitCodes.unreachable, 'the coordinator has gone')),
      (error: unknown) => error,
    )
    if (broken === undefined) return
    const away = broken instanceof Exit && broken.code === exitCodes.unreachable
    if (signal.aborted || !heard || !away) throw broken
    if (goneAt === undefined) {
      goneAt = Date.now()
      say('the coordinator has gone; waiting for it to come back')
    }
    if (Date.now() - goneAt >= patienceMs) throw broken
    await sleep(pauseMs, undefined, { signal })
  }
}
