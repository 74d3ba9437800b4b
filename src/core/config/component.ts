/** Addresses of CI/CD components: https://docs.gitlab.com/ci/components/#use-a-component */
import compareVersions from 'semver/functions/compare.js'
import parseVersion from 'semver/functions/parse.js'

/** A component, by its address. */
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

/**
 * The highest released version among tags: of all for `~latest`, of those that begin so for `1` or `1.2`. A `v` in front
 * of the tag belongs to no version, as GitLab reads it (app/models/concerns/semantic_versionable.rb).
 */
export function pickVersion(tags: readonly string[], wanted: string): string | undefined {
  const start = wanted === '~latest' ? '' : `${wanted}.`
  const released = tags.flatMap((tag) => parseVersion(tag) ?? []).filter(({ prerelease }) => prerelease.length === 0)
  return released
    .filter(({ version }) => version.startsWith(start))
    .sort(compareVersions)
    .at(-1)?.raw
}
