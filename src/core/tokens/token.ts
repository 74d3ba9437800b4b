/**
 * Tokens: random text with a prefix that tells its kind to people, clients and secret scanners. At rest there is only
 * their SHA-256 and a hint for lists; registration tokens are sealed beside it, since they are shown again. The prefixes are GitLab's, since its clients look at them.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { Random } from '../clock.js'
import { routableBody } from './cell.js'

/** How tokens of each kind begin, as GitLab's do where it has the kind: https://docs.gitlab.com/security/tokens/ */
export const tokenPrefixes = {
  /** A person's or script's access token. */
  access: 'glpat-',
  /** A runner made by a user, by its type. */
  instanceRunner: 'glrt-t1_',
  groupRunner: 'glrt-t2_',
  projectRunner: 'glrt-t3_',
  /** A runner made by registration. */
  registeredRunner: 'glrtr-',
  /** What a runner registers with. */
  registration: 'GR1348941',
  /** A job's own token; the rest is a JWT. */
  job: 'glcbt-',
  trigger: 'glptt-',
  /** What a forge signs its webhooks with. */
  hook: 'sbwh-',
  /** What a browser's cookie holds. */
  session: 'sbsn-',
  /** What a link holds that sets a password. */
  passwordLink: 'sbpw-',
} as const

/** What an access token may be used for: https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes */
export const accessScopes = [
  'api',
  'read_api',
  'read_user',
  'create_runner',
  'manage_runner',
  'read_repository',
  'write_repository',
  'self_rotate',
] as const

/** What a token may be used for. */
export type AccessScope = (typeof accessScopes)[number]

/** The administrator's token that the settings give; it is changed there. */
export const adminTokenName = 'admin token'

/** A kind of token that is random text; job tokens are not. */
export type TokenKind = Exclude<keyof typeof tokenPrefixes, 'job'>

/**
 * Makes a token of 160 random bits: the prefix and 27 characters of `[A-Za-z0-9_-]`. `cell`: the cell that it must name;
 * null: none.
 */
export function mintToken(kind: TokenKind, random: Random, cell: number | null = null): string {
  const prefix = tokenPrefixes[kind]
  const bytes = random.bytes(20)
  return prefix + (cell === null ? bytes.toString('base64url') : routableBody(prefix, bytes, cell))
}

/** What is stored of a token: the hex SHA-256. Random tokens of this length need no slow hash. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'hex')
}

/** What lists show of a token: its prefix and four characters. */
export function hintOf(token: string): string {
  const prefix = Object.values(tokenPrefixes).find((known) => token.startsWith(known)) ?? ''
  return `${prefix}${token.slice(prefix.length, prefix.length + 4)}…`
}

/** Compares two hashes without telling by time how much of them is equal. */
export function sameHash(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}

/** The token of an `authorization` header or metadata of the scheme Bearer (RFC 6750); undefined if it is none. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(header?.trim() ?? '')?.[1]
}
