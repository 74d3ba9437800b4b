/** The kinds of values that settings have, each with the one message that says what it must be. */
import * as z from 'zod/mini'
import { parseDuration } from '../core/ci-config/duration.js'
import { parseCron } from '../core/cron.js'

/** What is said of a setting besides its kind. */
export interface SettingNotes {
  description?: string
  /** What a value is, where JSON Schema has no word for it. */
  'x-kind'?: string
  /** What holds where nothing is given, if that is no value of its own. */
  'x-default'?: string
  /** The flag of `serve`, and the variable of the environment, that beat the file. */
  'x-flag'?: string
  'x-environment'?: string
}

export const settingNotes = z.registry<SettingNotes>()

/** Returns the kind itself, as a setting with this description. */
export function setting<T extends z.ZodMiniType>(
  kind: T,
  description: string,
  notes: { flag?: string; env?: string; default?: string } = {},
): T {
  settingNotes.add(kind, {
    description,
    ...(notes.default === undefined ? {} : { 'x-default': notes.default }),
    ...(notes.flag === undefined ? {} : { 'x-flag': notes.flag }),
    ...(notes.env === undefined ? {} : { 'x-environment': notes.env }),
  })
  return kind
}

/** Returns the kind itself, under a name that people are told. */
export function named<T extends z.ZodMiniType>(kind: T, name: string): T {
  settingNotes.add(kind, { 'x-kind': name })
  return kind
}

/** A table whose keys are all known. */
export function table<Shape extends z.core.$ZodShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `unknown key ${issue.keys[0]}; known are ${Object.keys(shape).join(', ')}`
        : 'must be a table',
  })
}

export const text = () => z.string('must be a text')

export const trueOrFalse = () => z.boolean('must be true or false')

export const oneOf = <const T extends readonly string[]>(values: T) =>
  z.enum(values, `must be one of ${values.join(', ')}`)

/** From `from` to `to`, both included. */
export function wholeNumber({ from = 0, to = Number.MAX_SAFE_INTEGER }: { from?: number; to?: number } = {}) {
  const least = from === 0 ? 'not negative' : `${from} or more`
  const most = to === Number.MAX_SAFE_INTEGER ? '' : `, at most ${to}`
  const message = `must be a whole number, ${least}${most}`
  return z.int(message).check(z.minimum(from, message), z.maximum(to, message))
}

/** No timer can be set for longer, in milliseconds: it would fire at once, again and again. */
export const longestTimerMs = 24 * 24 * 3_600_000
/** Far beyond what anybody waits for, and a number of milliseconds that can still be added to a time. */
const longestMs = 100 * 365 * 24 * 3_600_000

/** Read as milliseconds: at least one, or with `zero` none; at most `most`. */
export function duration({ zero = false, most = longestMs }: { zero?: boolean; most?: number } = {}) {
  const message = 'must be a duration such as "90s" or "10 minutes"'
  const mostText = most >= 86_400_000 ? `${most / 86_400_000} days` : `${most / 3_600_000} h`
  const read = z.pipe(
    zero ? z.union([z.string(), z.literal(0)], message) : z.string(message),
    z.transform((value: string | 0, ctx) => {
      const ms = value === 0 ? 0 : millisecondsOf(value)
      if (ms === undefined) return refuse(ctx, message)
      if (ms === 0 && !zero) return refuse(ctx, 'must be a duration that is longer than none')
      return ms > most ? refuse(ctx, `must be a duration of at most ${mostText}`) : ms
    }),
  )
  return named(read, `duration${zero ? ' or 0' : ''}${most === longestMs ? '' : `, at most ${mostText}`}`)
}

/** A duration, read as milliseconds, or the text of a cron expression in UTC. */
export function taskTime() {
  const message = 'must be a duration such as "10s", at most 24 days, or a cron expression'
  const read = z.pipe(
    z.string(message),
    z.transform((value: string, ctx): number | string => {
      const ms = millisecondsOf(value)
      if (ms !== undefined && ms > 0 && ms <= longestTimerMs) return ms
      try {
        parseCron(value)
        return value
      } catch {
        return refuse(ctx, message)
      }
    }),
  )
  return named(read, 'duration or cron expression')
}

/** Undefined for what is no duration. In a configuration a sign is a blank, as GitLab reads it; a setting has none. */
function millisecondsOf(given: string): number | undefined {
  if (/[-+]/.test(given)) return undefined
  if (/^[\s0.:]*0[\s0.:]*[a-z]*\s*$/i.test(given)) return 0
  const seconds = parseDuration(given)
  return seconds === undefined ? undefined : Math.ceil(seconds * 1000)
}

/** A number of milliseconds as `duration` reads it, in the largest unit that leaves nothing over. */
export function durationText(ms: number): string {
  const [unit, size] = durationUnits.find(([, one]) => ms % one === 0)!
  return ms === 0 ? '0s' : `${ms / size}${unit}`
}

const durationUnits: [unit: string, ms: number][] = [
  [' days', 24 * 3_600_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['s', 1],
]

const hostsMessage = 'must be a list of HOST or HOST:PORT'

export function hosts() {
  const list = z.array(z.string(hostsMessage), hostsMessage)
  return named(list.check(z.refine((given) => given.every(isHost), hostsMessage)), 'list of `HOST` or `HOST:PORT`')
}

function isHost(given: string): boolean {
  return URL.canParse(`https://${given}/`) && new URL(`https://${given}/`).host === given.toLowerCase()
}

/** An http or https URL, read without a slash at its end; or nothing. */
export function httpUrl() {
  const url = z.pipe(
    text().check(
      z.refine((value) => value === '' || (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)), {
        error: ({ input }) => `${String(input)} is not an http or https URL`,
      }),
    ),
    z.transform((value: string) => value.replace(/\/+$/, '')),
  )
  return named(url, 'URL')
}

/** `HOST:PORT`. */
export function address() {
  return text().check(
    z.refine(
      (value) => {
        const match = addressForm.exec(value)
        return match !== null && Number(match[2]) <= 65_535
      },
      { error: ({ input }) => `${String(input)} is not HOST:PORT` },
    ),
  )
}

const addressForm = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]*):(\d{1,5})$/

export function isLoopback(given: string): boolean {
  const host = addressForm.exec(given)?.[1]?.replace(/^\[|\]$/g, '') ?? ''
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}

/** Notes what is wrong with a value, at `path` below it. */
export function refuse(ctx: z.core.ParsePayload, message: string, path: (string | number)[] = []): never {
  ctx.issues.push({ code: 'custom', message, path, input: ctx.value })
  return z.NEVER as never
}
