/**
 * Job tokens: a signed JWT (RFC 7519, EdDSA as in RFC 8037) behind the prefix `glcbt-`. The signature routes and
 * authenticates without a look-up; what the token may still do is decided by the lease that it names.
 */

import { RecentMap } from '../recent-map.js'
import type { Keys } from './keys.js'
import { tokenPrefixes } from './token.js'

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

export type JobTokenScope = (typeof jobTokenScopes)[number]

const header = Buffer.from('{"alg":"EdDSA","typ":"JWT"}').toString('base64url')

/** The same claims always give the same token. */
export function issueJobToken(keys: Keys, claims: JobTokenClaims): string {
  const body = Buffer.from(
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
  ).toString('base64url')
  const signature = keys.sign(Buffer.from(`${header}.${body}`)).toString('base64url')
  return `${tokenPrefixes.job}${header}.${body}.${signature}`
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
  const [head, body, signature] = parts
  if (parts.length !== 3 || head !== header || !body || !signature) return undefined
  if (!keys.verify(Buffer.from(`${head}.${body}`), Buffer.from(signature, 'base64url'))) return undefined
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
