/**
 * Job tokens: a JWT (RFC 7519) behind the prefix `glcbt-`, authenticated by HMAC-SHA256 (`HS256` of RFC 7518) with a key that
 * only nodes have. That authenticates without a look-up, and anybody can read what routes it; what the token may still do is
 * decided by the lease that it names. Earlier versions signed them with Ed25519 (`EdDSA` of RFC 8037), which costs twenty
 * times as much: such tokens are taken as long as they live.
 */
import { RecentMap } from '../recent-map.js'
import type { Keys } from './keys.js'
import { tokenPrefixes } from './token.js'

/** What a job token says. */
export interface JobTokenClaims {
  jobId: number
  projectId: number
  /** The lease: the job's hand-out that this token belongs to. */
  fence: number
  /** What the token may be used for. */
  scopes: readonly string[]
  /** The node that issued it. */
  node: string
  /** The cell of the node; absent: there are none. */
  cell?: number
  /** Milliseconds since 1970. */
  issuedAt: number
  expiresAt: number
}

/** `job`: the job's own affairs and the API; `artifacts`: up and down; `read_repository`: git. */
export const jobTokenScopes = ['job', 'artifacts', 'read_repository'] as const

/** One of `jobTokenScopes`. */
export type JobTokenScope = (typeof jobTokenScopes)[number]

/** What a token begins with, and what proves it then: the header alone decides, and each has a key of its own. */
const header = encoded('{"alg":"HS256","typ":"JWT"}')
const signedHeader = encoded('{"alg":"EdDSA","typ":"JWT"}')

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url')
}

/** The same claims always give the same token. */
export function issueJobToken(keys: Keys, claims: JobTokenClaims): string {
  const body = encoded(
    JSON.stringify({
      iss: 'signalbox',
      sub: `job_${claims.jobId}`,
      job: claims.jobId,
      project: claims.projectId,
      fence: claims.fence,
      scopes: claims.scopes,
      node: claims.node,
      ...(claims.cell === undefined ? {} : { cell: claims.cell }),
      iat: Math.floor(claims.issuedAt / 1000),
      exp: Math.ceil(claims.expiresAt / 1000),
    }),
  )
  const claimed = `${header}.${body}`
  return `${tokenPrefixes.job}${claimed}.${keys.mac(claimed).toString('base64url')}`
}

/**
 * The claims of a token, or undefined if it is not one of ours, was altered, or has expired at `now` (ms). Verified
 * tokens are remembered, since a runner sends one with each of thousands of requests.
 */
export function jobTokenReader(keys: Keys): (token: string, now: number) => JobTokenClaims | undefined {
  const known = new RecentMap<string, JobTokenClaims>(knownLimit)
  return (token, now) => {
    const before = known.get(token)
    const claims = before ?? verified(keys, token)
    if (!claims || claims.expiresAt <= now) return undefined
    if (!before) known.set(token, claims)
    return claims
  }
}

const knownLimit = 10_000
const longestToken = 2048

function verified(keys: Keys, token: string): JobTokenClaims | undefined {
  if (token.length > longestToken || !token.startsWith(tokenPrefixes.job)) return undefined
  const parts = token.slice(tokenPrefixes.job.length).split('.')
  const [head, body, proof] = parts
  if (parts.length !== 3 || !body || !proof || !isProven(keys, head!, body, Buffer.from(proof, 'base64url')))
    return undefined
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
  return {
    jobId: claims.job,
    projectId: claims.project,
    fence: claims.fence,
    scopes: claims.scopes,
    node: claims.node,
    ...(claims.cell === undefined ? {} : { cell: claims.cell }),
    issuedAt: claims.iat * 1000,
    expiresAt: claims.exp * 1000,
  }
}

function isProven(keys: Keys, head: string, body: string, proof: Buffer): boolean {
  if (head === header) return keys.isMac(`${head}.${body}`, proof)
  return head === signedHeader && keys.verify(Buffer.from(`${head}.${body}`), proof)
}
