/** Sessions: who has signed in in a browser, until when, and what a password must be like. */
import { wrongField } from './errors.js'
import type { User } from './store/users.js'

/** One browser of one person. */
export interface Session {
  id: number
  userId: number
  /** How the person has shown who it is. */
  way: 'password' | 'openid'
  /** The OpenID provider that has vouched for the person; null: none has. */
  issuer: string | null
  /** Where the sign-in came from. */
  address: string
  /** What the browser calls itself. */
  agent: string
  createdAt: number
  /** When it was last used, to some minutes. */
  seenAt: number
  expiresAt: number
}

const day = 24 * 3_600_000

/** How long sessions and links live, in milliseconds: a week unused as GitLab's, a month at the most. */
export const sessionTimes = {
  unusedMs: 7 * day,
  longestMs: 30 * day,
  /** A use is written down only so often. */
  noteEveryMs: 10 * 60_000,
  linkMs: day,
} as const

/** When a session ends that is used now. */
export function sessionEnd(createdAt: number, now: number): number {
  return Math.min(createdAt + sessionTimes.longestMs, now + sessionTimes.unusedMs)
}

/** Sessions of one person; the oldest ends for another one. */
export const mostSessions = 50

/** In characters: NIST SP 800-63B §3.1.1 asks for length and against rules of composition. */
export const passwordLength = { shortest: 12, longest: 128 } as const

/** Throws `invalid` with `details.field` for a password that is too short or too long, or is the user's name. */
export function checkPassword(password: string, user: Pick<User, 'username' | 'email' | 'name'>): void {
  const { length } = password
  if (length < passwordLength.shortest) throw wrong(`is too short (minimum is ${passwordLength.shortest} characters)`)
  if (length > passwordLength.longest) throw wrong(`is too long (maximum is ${passwordLength.longest} characters)`)
  const known = [user.username, user.email, user.name].map((one) => one.toLowerCase())
  if (known.includes(password.toLowerCase())) throw wrong('is the name or the address of its user')
}

const wrong = (message: string) => wrongField('password', message)
