/** Which forge has a repository, by the address that people copy from their browser or from `git remote`. */
import { SignalboxError } from '../core/errors.js'
import type { ForgeKind, ForgePlace } from '../core/forge.js'

/** An address taken apart: the host, and the parts of the path. */
export interface Address {
  /** `https://HOST[:PORT]`. */
  origin: string
  host: string
  parts: string[]
}

const longestUrl = 2048
const part = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/

/** Throws `invalid` with `details.field`. The address may be one that git is given (`git@HOST:OWNER/NAME.git`). */
export function readAddress(text: string): Address {
  if (text.length > longestUrl || /[\p{Cc}\s]/u.test(text)) throw wrong('is not the address of a repository')
  const scp = /^[A-Za-z0-9_.-]+@([A-Za-z0-9.-]+):(?!\/)(.+)$/.exec(text)
  const given = scp ? `https://${scp[1]}/${scp[2]}` : text
  if (!URL.canParse(given)) throw wrong('is not the address of a repository')
  const url = new URL(given)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw wrong('must be an https URL')
  if (url.username !== '' || url.password !== '') throw wrong('may not hold credentials: the token is given apart')
  if (url.search !== '' || url.hash !== '') throw wrong('may not have a query or fragment')
  const parts = url.pathname
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .split('/')
    .slice(1)
  if (parts.length < 2 || !parts.every((one) => part.test(one))) throw wrong('must name OWNER/REPOSITORY')
  return { origin: url.origin, host: url.host, parts }
}

function wrong(message: string): SignalboxError {
  return new SignalboxError('invalid', `url ${message}`, { details: { field: 'url', message } })
}

const wellKnown: Record<string, ForgeKind> = {
  'github.com': 'github',
  'www.github.com': 'github',
  'gitlab.com': 'gitlab',
  'codeberg.org': 'gitea',
  'gitea.com': 'gitea',
}

export function kindByHost(host: string): ForgeKind | undefined {
  return Object.hasOwn(wellKnown, host) ? wellKnown[host] : undefined
}

/** A GitLab is taken to be at the top of its host, since its groups may be nested; others may be below a path. */
export function placeOf({ origin, parts }: Address, kind: ForgeKind): ForgePlace {
  const base = kind === 'gitlab' ? [] : parts.slice(0, -2)
  const repository = parts.slice(base.length).join('/')
  const baseUrl = origin === 'https://www.github.com' ? 'https://github.com' : [origin, ...base].join('/')
  return { kind, baseUrl, repository }
}
