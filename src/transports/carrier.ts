/** What a transport gives a connection: a way to send, and to slow the other side down. */
import type { GoodbyeCode, ServerMessage } from '../gen/signalbox/runner/v1/runner.js'

export interface Carrier {
  readonly door: 'grpc' | 'websocket'
  readonly remoteAddress: string | null
  /** The token that came with the call or upgrade; empty if none did. */
  readonly token: string
  send(message: ServerMessage): void
  /** Bytes handed over and not yet taken by the network. */
  queuedBytes(): number
  pause(): void
  resume(): void
  /** Ends the stream; `code` as in the Goodbye before it. */
  close(code: GoodbyeCode, reason: string): void
}
