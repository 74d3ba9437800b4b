/** Which URLs belong to git, and what they ask for. */
import { isPathSegment } from '../core/project.js'
import { notFound, Refusal } from './refusal.js'

export type Service = 'git-upload-pack' | 'git-receive-pack'

/** `refs`: the first request of a fetch or push. `rpc`: the others. */
export interface GitRoute {
  kind: 'refs' | 'rpc'
  service: Service
  /** `group/project` */
  path: string
}

/**
 * What a request's URL asks for: undefined if it is not git's, a refusal if it is and cannot be served. The URL is taken as
 * it came (`base`: what people's addresses have in front of it): nothing in it is unescaped or normalised, so nothing can turn into something else later.
 */
export function gitRoute(url: string, base = ''): GitRoute | Refusal | undefined {
  const [, location = '', query = ''] = /^([^?#]*)\??([^#]*)/.exec(url) ?? []
  const parts = /^\/(.*?)\.git\/(.*)$/s.exec(location)
  if (/^\/(?:api|runner|-)\//.test(location)) return undefined
  if (!parts) return withoutSuffix(location, query, base)
  const [, path = '', rest = ''] = parts
  const segments = path.split('/')
  if (segments.length < 2 || path.length > longestPath || !segments.every(isPathSegment)) return notFound()
  if (rest === 'info/refs') return refs(path, query)
  if (rest === 'git-upload-pack' || rest === 'git-receive-pack') return { kind: 'rpc', service: rest, path }
  return rest.startsWith('info/lfs/') ? noLfs() : notFound()
}

/** The content type of an `rpc` request. */
export function requestType(service: Service): string {
  return `application/x-${service}-request`
}

/**
 * An address without `.git`, which people copy from the browser. Only the first request of a client is sent on, as on
 * GitLab (config/routes/git_http.rb); the client keeps to the new address then.
 */
function withoutSuffix(location: string, query: string, base: string): Refusal | undefined {
  const path = /^\/(.+)\/info\/refs$/s.exec(location)?.[1] ?? ''
  const segments = path.split('/')
  if (segments.length < 2 || path.length > longestPath || !segments.every(isPathSegment)) return undefined
  const target = `${base}/${path}.git/info/refs${query === '' ? '' : `?${query}`}`
  return new Refusal(301, `The address is ${target}`, { Location: target })
}

const longestPath = 1024

function refs(path: string, query: string): GitRoute | Refusal {
  const services = new URLSearchParams(query).getAll('service')
  const [service] = services
  if (services.length === 1 && (service === 'git-upload-pack' || service === 'git-receive-pack')) {
    return { kind: 'refs', service, path }
  }
  return new Refusal(403, 'Only git-upload-pack and git-receive-pack are served, by smart HTTP.')
}

/** Large files are not stored here: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md#response-errors */
function noLfs(): Refusal {
  const message = 'Git LFS is not available on this server.'
  return new Refusal(501, JSON.stringify({ message }), { 'Content-Type': 'application/vnd.git-lfs+json' })
}
