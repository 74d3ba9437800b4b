/**
 * Bodies of requests: read with a limit, a deadline and a floor of speed, and never after the sender has gone. A body
 * that is refused unread is let flow past for a moment, so that the sender gets to see the answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough, type Readable } from 'node:stream'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'

export interface BodyLimits {
  bytes: number
  /** Milliseconds in which the whole body must be here; absent: 1 KiB a second must come. */
  withinMs?: number
}

const expecting = new WeakSet<ServerResponse>()

/** Notes that the sender waits for `100 Continue` before it sends its body. */
export function expectContinue(res: ServerResponse): void {
  expecting.add(res)
}

/** Lets the sender of a body that is about to be read go on. */
export function letBodyCome(res: ServerResponse): void {
  if (expecting.delete(res)) res.writeContinue()
}

/**
 * Refuses a body before a byte of it is read. Throws `unsupported_media_type` for one that is compressed, `too_large` by
 * its declared length, `invalid` for one that is framed in two ways (RFC 9112 §6.3).
 */
export function checkFraming(req: IncomingMessage, limitBytes: number): void {
  const { headers } = req
  if (headers['content-length'] !== undefined && headers['transfer-encoding'] !== undefined) {
    throw new SignalboxError('invalid', 'the request has both Content-Length and Transfer-Encoding')
  }
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    throw new SignalboxError('unsupported_media_type', 'compressed bodies are not taken')
  }
  if (Number(headers['content-length'] ?? 0) > limitBytes) throw tooLarge(limitBytes)
}

function tooLarge(limitBytes: number): SignalboxError {
  return new SignalboxError('too_large', `the body may have ${limitBytes} bytes`)
}

function tooSlow(): SignalboxError {
  return new SignalboxError('invalid', 'the body came too slowly', { details: { refinement: 'too_slow' } })
}

/** What a wait for a sender ends with that has gone: nobody is there to be answered. */
export function gone(): SignalboxError {
  return new SignalboxError('invalid', 'the request was cut off', { details: { refinement: 'gone' } })
}

/** Reads a whole body. Throws what `checkFraming` throws, `too_large`, `invalid` when it is too slow or is cut off. */
export function readBody(req: IncomingMessage, res: ServerResponse, clock: Clock, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    try {
      checkFraming(req, limits.bytes)
    } catch (error) {
      reject(error)
      return
    }
    const chunks: Buffer[] = []
    let size = 0
    let settled = false
    let stopClock = () => {}
    // Most bodies come with their head, and are here before a clock would have to be set.
    process.nextTick(() => {
      if (req.complete || settled) return
      const slow = () => settle(tooSlow())
      const { withinMs } = limits
      stopClock =
        withinMs === undefined ? keepPace(clock, { came: () => size, fail: slow }) : clock.after(withinMs, slow)
    })
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > limits.bytes) settle(tooLarge(limits.bytes))
      else chunks.push(chunk)
    }
    const onEnd = () => settle(undefined)
    const onClose = () => settle(gone())
    const settle = (error: SignalboxError | undefined) => {
      settled = true
      stopClock()
      req.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose)
      if (error) reject(error)
      else resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size))
    }
    req.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
    letBodyCome(res)
  })
}

const floorBytes = 30 * 1024
export const floorEveryMs = 30_000

export interface Pace {
  /** Bytes that have come so far. */
  came(): number
  /** Less than 1 KiB a second has come for half a minute. */
  fail(): void
  /** Asked before `fail`: whether somebody else than the sender was to blame. */
  excused?(): boolean
  /** Another half minute begins. */
  next?(): void
}

/** Watches that a body does not come too slowly. Returns what stops the watch. */
export function keepPace(clock: Clock, pace: Pace): () => void {
  let before = 0
  const stop = clock.every(floorEveryMs, () => {
    const now = pace.came()
    if (now - before < floorBytes && !pace.excused?.()) {
      stop()
      pace.fail()
      return
    }
    before = now
    pace.next?.()
  })
  return stop
}

/**
 * Watches a body that somebody else reads: calls `fail` when it comes too slowly, or its sender has gone before its end.
 * Returns what stops the watch.
 */
export function watchBody(req: IncomingMessage, clock: Clock, fail: (error: SignalboxError) => void): () => void {
  let came = 0
  const onData = (chunk: Buffer) => {
    came += chunk.length
  }
  const end = (error: SignalboxError) => {
    stop()
    fail(error)
  }
  const onClose = () => {
    if (!req.complete) end(gone())
  }
  const stopClock = keepPace(clock, { came: () => came, fail: () => end(tooSlow()) })
  const stop = () => {
    stopClock()
    req.off('data', onData).off('close', onClose)
  }
  req.on('data', onData).on('close', onClose)
  return stop
}

/**
 * The body of a request as a stream that fails when it is cut off or comes too slowly, so that whoever reads it to its end
 * has seen all of it. Throws what `checkFraming` throws.
 */
export function streamBody(req: IncomingMessage, res: ServerResponse, clock: Clock, limitBytes: number): Readable {
  checkFraming(req, limitBytes)
  const body = new PassThrough()
  // A failure may come before anybody reads, and whoever reads may give up.
  body.on('error', () => undefined)
  const stopWatch = watchBody(req, clock, (error) => body.destroy(error))
  body.once('close', () => {
    stopWatch()
    // Unpiping pauses: what is still coming must flow past.
    req.unpipe(body)
    req.resume()
  })
  letBodyCome(res)
  req.pipe(body)
  return body
}

const lingerBytes = 4 * 1024 * 1024
const lingerMs = 5000

/**
 * After an answer to a request whose body was not read to its end: what the sender is still sending flows past, so that
 * it gets to see the answer, but neither for long nor much of it; then the connection is cut.
 */
export function lingerAfter(req: IncomingMessage, clock: Clock): void {
  if (req.complete || req.destroyed) return
  let left = lingerBytes
  const done = () => {
    stopClock()
    req.off('data', onData).off('end', done).off('close', done)
  }
  const cut = () => {
    done()
    req.socket.destroy()
  }
  const onData = (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) cut()
  }
  const stopClock = clock.after(lingerMs, cut)
  req.on('data', onData).on('end', done).on('close', done)
  req.resume()
}
