/** What the link asks of a transport. */
import type { RunnerMessage, ServerMessage } from '../../gen/signalbox/runner/v1/runner.js'
import type { ClientTls } from '../client-tls.js'

export type TransportName = 'websocket' | 'grpc' | 'poll'

/**
 * A way to talk to a coordinator. The conversation is that of `runner.proto` for all of them; the polling transport
 * holds it with itself and translates to GitLab's runner API.
 */
export interface Transport {
  readonly name: TransportName
  /** Opens one carrier. Its handlers are called later, never from inside of `open`. */
  open(handlers: CarrierHandlers): Carrier
}

/** One open, or opening, connection. */
export interface Carrier {
  /** False while the peer does not read fast enough: log bytes wait then, everything else is small and may be sent. */
  readonly writable: boolean
  send(message: RunnerMessage): void
  /** Sends what is queued and closes. */
  close(): void
  /** Closes at once. `closed` is called. */
  abort(reason: string): void
}

export interface CarrierHandlers {
  /** Messages may be sent from now on. */
  opened(): void
  message(message: ServerMessage): void
  /** `writable` is true again. */
  drained(): void
  /** The last call, and always made. */
  closed(end: CarrierEnd): void
}

/**
 * How a carrier ended.
 *
 * - `failed`: try again
 * - `unauthorized`: the token is not known; there is no point in trying again
 */
export interface CarrierEnd {
  kind: 'failed' | 'unauthorized'
  message: string
  /** The least time that the coordinator wants to be left alone, in milliseconds. */
  retryAfterMs?: number
}

/** What a carrier needs to know to reach the coordinator. */
export interface TransportSettings {
  url: URL
  token: string
  tls?: ClientTls | undefined
}
