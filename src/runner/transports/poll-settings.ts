/** What the polling transport is started with. */
import type { RunnerLog } from '../events.js'
import type { HttpClient } from '../http.js'
import type { Spool } from '../spool.js'
import type { TransportSettings } from './transport.js'

export interface PollSettings extends TransportSettings {
  http: HttpClient
  log: RunnerLog
  systemId: string
  /** `info` of every request. */
  info: Record<string, unknown>
  /** Between requests that brought nothing, in milliseconds. */
  intervalMs: number
  /** Between pieces of a log, until the server names another interval, in milliseconds. */
  traceIntervalMs: number
  /** Logs and payloads: here the server sets the pace of the log, so it is read from where it is kept. */
  spoolOf(lease: { jobId: number; fence: number }): Spool | undefined
}

export const jsonHeaders = { 'content-type': 'application/json', accept: 'application/json' } as const

/** A path at the address is kept; a `/ci` at its end is not part of it, as in GitLab Runner (network/client.go). */
export function baseOf(url: URL): string {
  return url.href.replace(/\/+$/, '').replace(/\/ci$/, '')
}

export function apiUrl(base: URL, path: string): URL {
  return new URL(`${baseOf(base)}/api/v4/${path}`)
}
