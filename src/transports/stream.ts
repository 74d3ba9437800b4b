/** One attached stream, as the parts of a connection see it that take in logs and reports. */
import type { Core } from '../core/core.js'
import type { ServerMessage } from '../gen/signalbox/runner/v1/runner.js'

/** The content of a message to the runner. */
export type Reply = NonNullable<ServerMessage['body']>

export interface Stream {
  readonly core: Core
  readonly managerId: number
  /** Sends one body. Returns the number of its envelope. */
  send(body: Reply): number
  /** Counts a write under a lease that is not open. */
  countFenced(): void
}
