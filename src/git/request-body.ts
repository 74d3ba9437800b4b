/** The body of a git request: unpacked, counted, and given up when nothing comes any more. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { Refusal } from './refusal.js'

export interface BodyOptions {
  /** Bytes after unpacking. */
  limitBytes: number
  /** Told of each chunk. */
  onChunk: (bytes: number) => void
}

/**
 * The chunks of a request's body. Throws a refusal: 413 when there are more bytes than allowed, whatever they were packed
 * to; 415 for an encoding other than gzip; 400 for a broken one. Stops reading when the consumer stops.
 */
export async function* readBody(req: IncomingMessage, { limitBytes, onChunk }: BodyOptions): AsyncGenerator<Buffer> {
  const declared = Number(req.headers['content-length'] ?? 0)
  if (declared > limitBytes) throw tooLarge(limitBytes)
  const source = unpacked(req)
  let total = 0
  try {
    // Not `for await (… of req)`: leaving that would destroy the connection before the answer is sent.
    for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      total += chunk.length
      if (total > limitBytes) throw tooLarge(limitBytes)
      onChunk(chunk.length)
      yield chunk
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw code?.startsWith('Z_') ? new Refusal(400, 'The body is not gzip.') : error
  } finally {
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
