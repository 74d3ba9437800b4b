/** Job tokens: proven by a code of the key file; those that earlier versions signed are taken as long as they live. */
import { expect, test } from 'vitest'
import { issueJobToken, type JobTokenClaims, jobTokenReader, jobTokenScopes } from '../../src/core/tokens/job-token.js'
import { keysFrom } from '../../src/core/tokens/keys.js'

const keys = keysFrom(Buffer.alloc(32, 1))
const others = keysFrom(Buffer.alloc(32, 2))
const claims: JobTokenClaims = {
  jobId: 5,
  projectId: 6,
  fence: 2,
  scopes: jobTokenScopes,
  node: 'n',
  cell: 3,
  issuedAt: 1_000_000,
  expiresAt: 2_000_000,
}

const encode = (text: string) => Buffer.from(text).toString('base64url')
const parts = (token: string) => token.replace('glcbt-', '').split('.') as [string, string, string]
const headerOf = (alg: string) => encode(JSON.stringify({ alg, typ: 'JWT' }))

/** The token as earlier versions made it. */
function signed(of: string, by = keys): string {
  const claimed = `${headerOf('EdDSA')}.${parts(of)[1]}`
  return `glcbt-${claimed}.${by.sign(Buffer.from(claimed)).toString('base64url')}`
}

const token = issueJobToken(keys, claims)
const read = (text: string, now = 1_500_000) => jobTokenReader(keys)(text, now)

test('a token gives its claims until it expires, and is the same each time', () => {
  expect(issueJobToken(keys, claims)).toBe(token)
  expect(read(token)).toEqual(claims)
  expect(read(token, 2_000_000)).toBeUndefined()
})

test('one that an earlier version signed gives its claims until it expires', () => {
  expect(read(signed(token))).toEqual(claims)
  expect(read(signed(token), 2_000_000)).toBeUndefined()
})

const [head, body, code] = parts(token)
const forged = encode(Buffer.from(body, 'base64url').toString().replace('"job":5', '"job":9'))

test.each([
  ['of another node’s key', issueJobToken(others, claims)],
  ['signed with another node’s key', signed(token, others)],
  ['with other claims', `glcbt-${head}.${forged}.${code}`],
  ['with other claims, signed before', signed(token).replace(body, forged)],
  ['without a code', `glcbt-${head}.${body}.`],
  ['with a code cut short', `glcbt-${head}.${body}.${code.slice(0, -4)}`],
  ['that says it needs no proof', `glcbt-${headerOf('none')}.${body}.${code}`],
  ['with the code as a signature', `glcbt-${headerOf('EdDSA')}.${body}.${code}`],
  ['with the signature as a code', `glcbt-${head}.${parts(signed(token)).slice(1).join('.')}`],
])('a token %s is none', (_, text) => {
  expect(read(text)).toBeUndefined()
})
