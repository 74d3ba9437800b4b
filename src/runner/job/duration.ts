/** Durations as Go writes them. */

const unitMs: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/**
 * Reads a duration as Go's `time.ParseDuration` does: `1h30m`, `90s`, `0.5h`.
 * @returns milliseconds, or nothing if the text is not a duration.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^([+-]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+|0)$/.exec(text.trim())
  if (match === null) return undefined
  let total = 0
  for (const [, count, unit] of (match[2] ?? '').matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(count) * (unitMs[unit ?? ''] ?? 0)
  }
  return match[1] === '-' ? -total : total
}

/** Milliseconds in the way Go prints a duration: `1h0m0s`, `2.5s`. */
export function formatDuration(ms: number): string {
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor(ms / 60_000) % 60
  const seconds = Math.round(ms % 60_000) / 1000
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`
}
