/** Waiting for a slow reader of an answer. */
import type { ServerResponse } from 'node:http'

/**
 * Writes a piece and waits while the reader is behind: a slow one holds up nobody but itself. Resolves when more may be
 * written, or the reader has gone.
 */
export function writePiece(res: ServerResponse, piece: string | Buffer): Promise<void> {
  if (res.write(piece) || res.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      res.off('drain', done).off('close', done)
      resolve()
    }
    res.on('drain', done).on('close', done)
  })
}
