/** Server-sent events: how a stream of them begins and stays alive. https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { ServerResponse } from 'node:http'
import type { Actor } from '../core/authorize.js'
import type { UserCall } from '../http/call.js'
import { whileAllowed } from './while-allowed.js'

/** Begins the answer, so that who asks knows at once that there is somebody. */
export function beginEvents(res: ServerResponse, requestId: string): void {
  res.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  })
  res.flushHeaders()
}

/** Says something now and then, so that no proxy takes a quiet stream for a dead one, and ends the stream of somebody who may not have it any more. */
export function keepAlive(call: UserCall, may: (actor: Actor) => Promise<boolean>): () => void {
  return whileAllowed(call, may, () => call.res.write(': still here\n\n'))
}
