/** Addresses of CI/CD components: https://docs.gitlab.com/ci/components/#use-a-component */

export interface Component {
  /** Full path of the project. */
  project: string
  name: string
  /** What stands behind `@`. */
  version: string
}

/** Reads `HOST/GROUP/PROJECT/NAME@VERSION`; a text instead says why it is no component of this host. */
export function parseComponent(address: string, host: string): Component | string {
  const match = /^([^/@]+)\/(.+)\/([^/@]+)@([^@]+)$/.exec(address)
  if (!match) return 'a component is written HOST/GROUP/PROJECT/NAME@VERSION'
  const [, givenHost = '', project = '', name = '', version = ''] = match
  if (givenHost.toLowerCase() !== host.toLowerCase()) return `components of ${givenHost} are not available here`
  if (!project.includes('/')) return 'a component is written HOST/GROUP/PROJECT/NAME@VERSION'
  return { project, name, version }
}

/** The highest released version among tags: of all for `~latest`, of those that begin so for `1` or `1.2`. */
export function pickVersion(tags: readonly string[], wanted: string): string | undefined {
  const prefix = wanted === '~latest' ? '' : `${wanted}.`
  const versions = tags.filter((tag) => /^\d+\.\d+\.\d+$/.test(tag) && tag.startsWith(prefix))
  return versions.toSorted(compareVersions).at(-1)
}

function compareVersions(one: string, other: string): number {
  const [a, b] = [one.split('.').map(Number), other.split('.').map(Number)]
  for (const [i, part] of a.entries()) if (part !== b[i]) return part - (b[i] ?? 0)
  return 0
}
