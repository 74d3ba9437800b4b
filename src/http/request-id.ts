/** Every request has an id: the sender's, if it is fit for a header and a log line, or one of ours. */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const fit = /^[A-Za-z0-9_.:@-]{1,128}$/

/** The id that the sender gave, if it is fit. */
export function sentRequestId(req: IncomingMessage): string | undefined {
  return fitRequestId(req.headers['x-request-id'])
}

/** The same for a value that came some other way. */
export function fitRequestId(sent: unknown): string | undefined {
  return typeof sent === 'string' && fit.test(sent) ? sent : undefined
}

let prefix = randomBytes(8).toString('hex')
let count = 0

/** A new id, 32 hex digits as GitLab's: random per process, counted within. */
export function makeRequestId(): string {
  if (++count > 0xffff_ffff) {
    prefix = randomBytes(8).toString('hex')
    count = 1
  }
  return prefix + count.toString(16).padStart(16, '0')
}
