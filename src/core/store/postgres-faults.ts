/** Which errors of PostgreSQL's client say that the database is away, and not that a query was wrong. */
import pg from 'pg'
import { SignalboxError } from '../errors.js'

/**
 * Lost connections, a server that stops or starts, too many connections, a standby that took over from nobody:
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const awayStates = /^(08|53|57P0[1-5]|25006|25P03)/

/** What the operating system says of a connection. */
const awayCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
])

/** The client and its pool give these without a code (pg 8, pg-pool 3). */
const awayWords =
  /connection terminated|timeout exceeded when trying to connect|timeout expired|query read timeout|not queryable|connection error|client was closed|after calling end on the pool/i

/** Whether the database could not be asked, or has gone before it answered. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  // A name with several addresses that all refuse.
  if (error instanceof AggregateError && error.errors.some(isAway)) return true
  const code = String((error as { code?: unknown }).code)
  if (error instanceof pg.DatabaseError) return awayStates.test(code)
  return awayCodes.has(code) || awayWords.test(error.message)
}

/** Whether an answer to COMMIT leaves open what became of it: anything but a plain refusal. */
export function leavesOpen(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || error.severity === 'FATAL' || error.severity === 'PANIC'
}

/** The error as callers get it: `unavailable`, with `details.away`, where the database is away. */
export function asUnavailable(error: unknown): unknown {
  if (!isAway(error)) return error
  return new SignalboxError('unavailable', 'the store is not available', { cause: error, details: { away: true } })
}
