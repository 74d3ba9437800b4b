/** Times and durations for people. */
import { signal } from '@preact/signals'

/** The time now, for what counts up; a second is as exact as people read. */
export const now = signal(Date.now())
setInterval(() => {
  now.value = Date.now()
}, 1000)

/** `2m 14s` of milliseconds. */
export function duration(ms: number): string {
  if (ms < 0) return '0s'
  if (ms < 1000) return `${Math.round(ms)}ms`
  const s = Math.floor(ms / 1000)
  if (s < 10) return `${(ms / 1000).toFixed(1)}s`
  const [d, h, m] = [Math.floor(s / 86_400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60]
  if (d > 0) return `${d}d ${h}h`
  if (h > 0) return `${h}h ${m}m`
  return m > 0 ? `${m}m ${s % 60}s` : `${s}s`
}

/** `3m ago`; `in 3m`. */
export function ago(at: number, from: number): string {
  const ms = from - at
  if (Math.abs(ms) < 2000) return 'now'
  const words = duration(Math.floor(Math.abs(ms) / 1000) * 1000).replace('.0s', 's')
  return ms > 0 ? `${words} ago` : `in ${words}`
}

/** Milliseconds since 1970 of a time in either form; undefined of none. */
export function at(time: string | number | null | undefined): number | undefined {
  if (time === null || time === undefined) return undefined
  return typeof time === 'number' ? time : Date.parse(time)
}
