/** ISO 8601 in UTC with milliseconds, as GitLab writes times; null stays null. */
export function toIso(at: number): string
export function toIso(at: number | null): string | null
export function toIso(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}

/** `2026-01-31`, the day in UTC. */
export function toDate(at: number): string {
  return new Date(at).toISOString().slice(0, 10)
}
