/** Names of images, and what follows from them. */

/** The registry that a name means: its first part, if that looks like a host. */
export function registryOf(name: string): string {
  const [first = '', ...rest] = name.split('/')
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  return isHost ? first : 'docker.io'
}

/** The name with its tag: one without tag and digest means `latest`. */
export function withTag(name: string): string {
  if (name.includes('@')) return name
  return /:[\w][\w.-]*$/.test(name.slice(name.lastIndexOf('/'))) ? name : `${name}:latest`
}

/**
 * The host names under which a service is found: those it was given, and two made of the image's name. Source: GitLab
 * Runner, `helpers/container/services/services.go`.
 */
export function serviceNames(image: string, alias: string | undefined): string[] {
  const path = image
    .replace(/@.*$/, '')
    .replace(/^(.*?)(:[^:/]*)?$/, '$1')
    .replace(/^([^/]*):\d+\//, '$1/')
  const given = (alias ?? '').split(/[\s,]+/).filter((each) => each !== '')
  return [...new Set([...given, path.replaceAll('/', '__'), path.replaceAll('/', '-')])]
}

/**
 * Whether a name is among those that are allowed; an empty list allows all. `*` stands for anything within a part, `**` for
 * anything. Source: GitLab Runner, `executors/docker/allowed_images.go` (doublestar patterns).
 */
export function isAllowed(name: string, patterns: readonly string[]): boolean {
  return patterns.length === 0 || patterns.some((pattern) => patternOf(pattern).test(name))
}

function patternOf(pattern: string): RegExp {
  const body = pattern.replace(/\*\*\/?|\*|\?|[.+^${}()|[\]\\]/g, (part) => {
    if (part.startsWith('**')) return '.*'
    if (part === '*') return '[^/]*'
    return part === '?' ? '[^/]' : `\\${part}`
  })
  return new RegExp(`^${body}$`)
}
