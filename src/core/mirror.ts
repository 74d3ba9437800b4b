/** The remote repository that a project mirrors, and how its address is read and shown. */
import { SignalboxError } from './errors.js'

/** Where a repository is fetched from. The address never holds credentials: these travel apart from it. */
export interface RemoteSource {
  /** `https://HOST/PATH`, or with `http` for hosts that the operator trusts. */
  url: string
  username: string
  password: string
}

export interface Mirror {
  projectId: number
  source: RemoteSource
  /** When a fetch has last succeeded, and why the last one has not; in milliseconds since 1970. */
  fetchedAt: number | null
  error: string | null
}

const longestUrl = 2048

/** Reads `import_url` as GitLab takes it, credentials inside. Throws `invalid` with `details.field`; no part of it is told. */
export function parseRemote(text: string): RemoteSource {
  if (text.length > longestUrl) throw wrong('is too long')
  if (/[\p{Cc}\s]/u.test(text) || !URL.canParse(text)) throw wrong('is not a valid URL')
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw wrong('must be an https URL')
  if (url.hostname === '' || url.pathname === '/') throw wrong('must name a host and a repository')
  if (url.search !== '' || url.hash !== '') throw wrong('may not have a query or fragment')
  let username: string
  let password: string
  try {
    username = decodeURIComponent(url.username)
    password = decodeURIComponent(url.password)
  } catch {
    throw wrong('has credentials that are not encoded right')
  }
  if (/\p{Cc}/u.test(username + password) || username.includes(':')) throw wrong('has credentials that cannot be sent')
  url.username = ''
  url.password = ''
  return { url: url.href, username, password }
}

function wrong(message: string): SignalboxError {
  return new SignalboxError('invalid', `import_url ${message}`, { details: { field: 'import_url', message } })
}
