/**
 * ID tokens: JWTs (RFC 7519) by which a job shows others who it is. They are signed with RS256, which every consumer of
 * OpenID Connect must understand; the key is published as a JWK (RFC 7517). Claims: gitlab lib/gitlab/ci/jwt{,_v2}.rb,
 * https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

/** What a token says of the job before a runner has it. */
export type IdTokenClaims = Record<string, string | null>

/** What the hand-out adds. */
export interface IdTokenMoment {
  jobId: number
  fence: number
  runnerId: number
  /** Milliseconds since 1970. */
  issuedAt: number
  /** The token lives as long as the job may run, in seconds. */
  timeoutS: number
}

/** A pair of keys: the public half is shown to everybody who wants to check a token. */
export interface IdTokenKey {
  /** The public half. */
  jwk: { kty: 'RSA'; n: string; e: string; kid: string; use: 'sig'; alg: 'RS256' }
  /** The private half, as PKCS #8. */
  pkcs8: Buffer
  /** Signs; the same claims always give the same token. */
  issue(claims: object): string
}

/** Clocks of others may be behind ours. */
const leewayS = 5

/**
 * The token for one hand-out. `encoded` is what the payload's mark holds: base64url of the variable's key and the claims
 * that are known before.
 */
export function issueIdToken(key: IdTokenKey, encoded: string, moment: IdTokenMoment): string {
  const { key: variable, claims } = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'))
  const iat = Math.floor(moment.issuedAt / 1000)
  return key.issue({
    ...claims,
    runner_id: moment.runnerId,
    runner_environment: 'self-hosted',
    jti: identifier(`${claims.iss} ${moment.jobId} ${moment.fence} ${variable}`),
    iat,
    nbf: iat - leewayS,
    exp: iat + moment.timeoutS,
  })
}

/** A UUID (version 8, RFC 9562) of a text: a hand-out that is repeated gives the same token. */
function identifier(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  )
}

/** Makes a new key: tens to hundreds of milliseconds. */
export function makeIdTokenKey(): IdTokenKey {
  return keyOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
}

/** Throws for bytes that are no private key. */
export function idTokenKeyFrom(pkcs8: Buffer): IdTokenKey {
  return keyOf(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }))
}

function keyOf(privateKey: KeyObject): IdTokenKey {
  const { n = '', e = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const kid = createHash('sha256').update(`{"e":"${e}","kty":"RSA","n":"${n}"}`).digest('base64url')
  const header = encode({ alg: 'RS256', kid, typ: 'JWT' })
  return {
    jwk: { kty: 'RSA', n, e, kid, use: 'sig', alg: 'RS256' },
    pkcs8: privateKey.export({ format: 'der', type: 'pkcs8' }),
    issue(claims) {
      const signed = `${header}.${encode(claims)}`
      return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`
    },
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
