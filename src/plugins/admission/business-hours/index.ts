/** Lets jobs start in business hours only: those of some projects, refs or tags, or all. */
import { type AdmissionRequest, type AdmissionVerdict, definePlugin, type Json, PluginConfigError } from '../../sdk.js'

const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

export interface Hours {
  days: readonly string[]
  /** Minutes since midnight. An end before the beginning is that of the next day. */
  from: number
  to: number
  timezone: string
  /** Jobs of these paths; a path ending with `/` means all below it. Empty: of all. */
  projects: readonly string[]
  /** Jobs that ask for one of these tags of their runner. Empty: all. */
  tags: readonly string[]
}

/** The clock on the wall may be set: nobody is held longer than this without being asked again. */
const longestS = 3600

export default definePlugin<Hours | undefined>({
  id: 'admission.business-hours',
  apiVersion: 1,
  config: (given) => (Object.keys(given).length === 0 ? undefined : hoursOf(given)),
  setup(host, hours) {
    if (hours) host.admit('business-hours', (request) => judgeHours(hours, request))
    return undefined
  },
})

/** Returns the verdict on a job at the request's time. Pure. */
export function judgeHours(hours: Hours, { job, now }: AdmissionRequest): AdmissionVerdict {
  if (!concerns(hours, job)) return { verdict: 'admit' }
  if (isOpen(hours, now)) return { verdict: 'admit' }
  let minutes = 1
  while (minutes * 60 < longestS && !isOpen(hours, now + minutes * 60_000)) minutes++
  const reason = `Jobs start ${hours.days.join(', ')} from ${clockOf(hours.from)} to ${clockOf(hours.to)} (${hours.timezone}).`
  return { verdict: 'hold', reason, seconds: minutes * 60 }
}

function concerns({ projects, tags }: Hours, job: AdmissionRequest['job']): boolean {
  const path = job.projectPath
  const named =
    projects.length === 0 || projects.some((one) => (one.endsWith('/') ? path.startsWith(one) : path === one))
  return named && (tags.length === 0 || job.tags.some((tag) => tags.includes(tag)))
}

function isOpen({ days, from, to, timezone }: Hours, at: number): boolean {
  const { day, minute } = wallTime(at, timezone)
  const today = days.includes(dayNames[day] as string)
  if (from < to) return today && minute >= from && minute < to
  // Over midnight: what began yesterday goes on.
  const yesterday = days.includes(dayNames[(day + 6) % 7] as string)
  return (today && minute >= from) || (yesterday && minute < to)
}

/** The day (0: Monday) and the minute of the day. */
function wallTime(at: number, timezone: string): { day: number; minute: number } {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
  const day = dayNames.indexOf(String(parts.weekday).toLowerCase().slice(0, 3))
  return { day, minute: Number(parts.hour) * 60 + Number(parts.minute) }
}

function clockOf(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
}

function hoursOf({
  days = dayNames.slice(0, 5),
  from,
  to,
  timezone = 'UTC',
  projects = [],
  tags = [],
  ...more
}: Record<string, Json>): Hours {
  for (const key of Object.keys(more)) throw new PluginConfigError(key, 'unknown key')
  const named = textsOf('days', days)
  for (const [at, day] of named.entries()) {
    if (!dayNames.includes(day)) throw new PluginConfigError(`days.${at}`, `must be one of ${dayNames.join(', ')}`)
  }
  if (typeof timezone !== 'string' || !isTimezone(timezone)) {
    throw new PluginConfigError('timezone', 'must be a time zone such as "Europe/Berlin"')
  }
  const hours = {
    days: named,
    from: minutesOf('from', from),
    to: minutesOf('to', to),
    timezone,
    projects: textsOf('projects', projects),
    tags: textsOf('tags', tags),
  }
  if (hours.from === hours.to) throw new PluginConfigError('to', 'must be another time than from')
  return hours
}

function minutesOf(key: string, value: Json | undefined): number {
  const match = typeof value === 'string' ? /^([01]\d|2[0-3]):([0-5]\d)$|^(24):(00)$/.exec(value) : null
  if (!match) throw new PluginConfigError(key, 'must be a time of the day such as "08:30"')
  return Number(match[1] ?? match[3]) * 60 + Number(match[2] ?? match[4])
}

function textsOf(key: string, value: Json): string[] {
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value
  throw new PluginConfigError(key, 'must be a list of texts')
}

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name })
    return true
  } catch {
    return false
  }
}
