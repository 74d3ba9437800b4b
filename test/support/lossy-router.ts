/**
 * A link that fails below the Job Router: an HTTP/2 proxy that decides about each answer of a call whether it arrives, and
 * how much of it. What the client sent has always arrived and been done.
 */
import { once } from 'node:events'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/**
 * What becomes of an answer. `cut`: the connection ends after so many bytes of its message; `swallow`: before its head;
 * `reset`: the call alone ends, after its head; `trailless`: it ends without a status; `delay`: it waits until this settles.
 */
export type RouterFate = 'pass' | 'swallow' | 'reset' | 'trailless' | { cut: number } | { delay: Promise<unknown> }

export class LossyRouter implements AsyncDisposable {
  /** Decides about each answer by the length of its message (5 bytes: an empty one); the first thing is to let all pass. */
  fate: (answer: { bytes: number }) => RouterFate = () => 'pass'
  lost = 0
  readonly #server = http2.createServer()
  readonly #sessions = new Set<http2.Http2Session>()
  readonly #target: http2.ClientHttp2Session

  private constructor(target: http2.ClientHttp2Session) {
    this.#target = target
    this.#server.on('session', (session) => {
      this.#sessions.add(session)
      session.on('close', () => this.#sessions.delete(session)).on('error', () => undefined)
    })
    this.#server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined)
      this.#pass(stream, headers).catch(() => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR))
    })
  }

  static async before(target: string): Promise<LossyRouter> {
    const session = http2.connect(target)
    await once(session, 'connect')
    const proxy = new LossyRouter(session)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #pass(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): Promise<void> {
    const body = await buffer(stream)
    const { ':scheme': _, ...sent } = headers
    const asked = this.#target.request(sent)
    // Who has gone is gone for the server too.
    stream.on('close', () => asked.close(http2.constants.NGHTTP2_CANCEL))
    asked.end(body)
    let head: http2.IncomingHttpHeaders = {}
    let trailers: http2.IncomingHttpHeaders = {}
    asked.on('response', (came) => {
      head = came
    })
    asked.on('trailers', (came) => {
      trailers = came
    })
    const message = await buffer(asked)
    const fate = this.fate({ bytes: message.length })
    if (typeof fate === 'object' && 'delay' in fate) await fate.delay
    else if (fate !== 'pass') this.lost++
    if (stream.destroyed) return
    if (fate === 'swallow') return stream.session?.destroy()
    const hasTrailers = Object.keys(trailers).length > 0 && fate !== 'trailless'
    stream.respond(head, { waitForTrailers: hasTrailers })
    stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    if (fate === 'reset') return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
    if (typeof fate !== 'object' || !('cut' in fate)) return void stream.end(message)
    const part = message.subarray(0, Math.min(fate.cut, message.length - 1))
    stream.write(part, () => stream.session?.destroy())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#target.destroy()
    for (const session of this.#sessions) session.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
