/** Which view an address names. Addresses are those of `web_url` in GitLab's API, and a few of our own below `/-/`. */

export type Place =
  | { view: 'projects' }
  | { view: 'fleet' }
  | { view: 'queue' }
  | { view: 'system' }
  | { view: 'look' }
  | { view: 'group'; path: string }
  | { view: 'project'; path: string; filter: Record<string, string> }
  | { view: 'pipeline'; path: string; id: number }
  | { view: 'job'; path: string; id: number }
  | { view: 'part'; path: string; part: string }
  | { view: 'nothing' }

const fixed: Readonly<Record<string, Place>> = {
  '/': { view: 'projects' },
  '/-/fleet': { view: 'fleet' },
  '/-/queue': { view: 'queue' },
  '/-/system': { view: 'system' },
  '/-/look': { view: 'look' },
}

/** What of a project's address is shown as its pipelines, and by which filter. */
const filters: Readonly<Record<string, string>> = {
  commit: 'sha',
  tree: 'ref',
  tags: 'ref',
  commits: 'ref',
  releases: 'ref',
}

/** Pages of a project beside its pipelines, by the first word of their address. */
const parts = /^(?:environments|pipeline_schedules|merge_requests|compare|ci|settings)(?:\/|$)/

/** The view of a path as it stands in the address. */
export function placeOf(pathname: string): Place {
  let path: string
  try {
    path = decodeURIComponent(pathname).replace(/(.)\/+$/, '$1')
  } catch {
    return { view: 'nothing' }
  }
  const own = fixed[path]
  if (own) return own
  if (path.startsWith('/groups/')) return { view: 'group', path: path.slice('/groups/'.length) }
  const [, of, rest] = /^\/(.+?)(?:\/-\/(.*))?$/.exec(path) ?? []
  if (of === undefined || of.startsWith('-/')) return { view: 'nothing' }
  if (rest === undefined)
    return of.includes('/') ? { view: 'project', path: of, filter: {} } : { view: 'group', path: of }
  return within(of, rest)
}

function within(path: string, rest: string): Place {
  const [, kind = '', thing] = /^([a-z_]+)(?:\/(.+))?$/s.exec(rest) ?? []
  const id = Number(/^[1-9]\d{0,15}$/.exec(thing ?? '')?.[0])
  if (kind === 'pipelines' && thing === undefined) return { view: 'project', path, filter: {} }
  if (kind === 'pipelines' && id) return { view: 'pipeline', path, id }
  if (kind === 'jobs' && id) return { view: 'job', path, id }
  if (parts.test(rest)) return { view: 'part', path, part: rest }
  const field = filters[kind]
  return field && thing ? { view: 'project', path, filter: { [field]: thing } } : { view: 'nothing' }
}

/** Addresses of what is shown. */
export const hrefs = {
  project: (path: string) => `/${path}`,
  pipeline: (path: string, id: number) => `/${path}/-/pipelines/${id}`,
  job: (path: string, id: number) => `/${path}/-/jobs/${id}`,
  raw: (path: string, id: number) => `/${path}/-/jobs/${id}/raw`,
}
