/** The body of a git request: unpacked, counted, and given up when nothing comes any more. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip, type Gunzip } from 'node:zlib'
import type { Clock } from '../core/clock.js'
import { floorEveryMs, keepPace } from '../http/body.js'
import { Refusal } from './refusal.js'

export interface BodyOptions {
  /** Bytes after unpacking. */
  limitBytes: number
  /** Told of each chunk. */
  onChunk: (bytes: number) => void
  clock: Clock
}

/**
 * The chunks of a request's body. Throws a refusal: 413 when there are more bytes than allowed, whatever they were packed
 * to; 415 for an encoding other than gzip; 400 for a broken one; 408 for one that comes as slowly as no other body may.
 * Stops reading when the consumer stops.
 */
export async function* readBody(
  req: IncomingMessage,
  { limitBytes, onChunk, clock }: BodyOptions,
): AsyncGenerator<Buffer> {
  const declared = Number(req.headers['content-length'] ?? 0)
  if (declared > limitBytes) throw tooLarge(limitBytes)
  const source = unpacked(req)
  // Not `for await (… of req)`: leaving that would destroy the connection before the answer is sent.
  const chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  let total = 0
  /** How long the consumer has worked on chunks in this half minute, and since when on this one. */
  let consumerMs = 0
  let workingSince: number | undefined
  const workedMs = () => consumerMs + (workingSince === undefined ? 0 : clock.now() - workingSince)
  let fail: (error: Refusal) => void = () => undefined
  const stopPace = keepPace(clock, {
    // Of a packed body, what was sent and not what it came to.
    came: () => (source === req ? total : (source as Gunzip).bytesWritten),
    // While the consumer works on a chunk the sender cannot send: that is not its fault.
    excused: () => workedMs() > floorEveryMs / 2,
    next: () => {
      consumerMs = 0
      if (workingSince !== undefined) workingSince = clock.now()
    },
    fail: () => fail(new Refusal(408, 'The request comes too slowly.', { Connection: 'close' })),
  })
  try {
    for (;;) {
      const { value, done } = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
        fail = reject
        chunks.next().then(resolve, reject)
      })
      if (done) return
      total += value.length
      if (total > limitBytes) throw tooLarge(limitBytes)
      onChunk(value.length)
      workingSince = clock.now()
      yield value
      consumerMs = workedMs()
      workingSince = undefined
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw code?.startsWith('Z_') ? new Refusal(400, 'The body is not gzip.') : error
  } finally {
    stopPace()
    // Not awaited: it comes after the chunk that is waited for, which a slow sender may never send.
    chunks.return?.().catch(() => undefined)
    if (source !== req) {
      req.unpipe()
      source.destroy()
    }
  }
}

/** All of the body. */
export async function collect(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function tooLarge(limitBytes: number): Refusal {
  return new Refusal(413, `The request is larger than ${limitBytes} bytes.`)
}

function unpacked(req: IncomingMessage): Readable {
  const encoding = req.headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity') return req
  if (encoding !== 'gzip' && encoding !== 'x-gzip') throw new Refusal(415, 'Only gzip is understood.')
  const gunzip = createGunzip()
  // A pipe does not pass on that its source is gone, and would wait for ever.
  req.once('close', () => {
    if (!req.readableEnded) gunzip.destroy(new Error('the client is gone'))
  })
  return req.pipe(gunzip)
}
