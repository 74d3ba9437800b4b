/**
 * The step that makes a release after the job's script, for a POSIX shell: `glab` where it is new enough, else
 * `release-cli`. What is asked of both is what gitlab lib/gitlab/ci/build/releaser.rb asks.
 */

interface Definition {
  tag_name?: unknown
  ref?: unknown
  milestones?: string | string[]
  assets?: { links?: object[] }
  [flag: string]: unknown
}

/** The lines of the step. `release`: as the job's definition has it. */
export function releaseScript(release: Record<string, unknown>): string[] {
  const definition = release as Definition
  const known = `"$(glab --version 2>/dev/null | grep -oE '[0-9]+\\.[0-9]+\\.[0-9]+' | head -n 1)"`
  return [
    [
      'if command -v glab >/dev/null 2>&1 &&',
      `  [ "$(printf '%s\\n%s\\n' ${oldestGlab} ${known} | sort -V | head -n 1)" = ${oldestGlab} ]; then`,
      `  export GITLAB_HOST=${quoted('$CI_SERVER_URL')}`,
      ...caCertificate,
      `  glab auth login --job-token ${quoted('$CI_JOB_TOKEN')} --hostname ${quoted('$CI_SERVER_FQDN')} --api-protocol ${quoted('$CI_SERVER_PROTOCOL')}`,
      `  ${withGlab(definition)}`,
      'else',
      `  ${withReleaseCli(definition)}`,
      'fi',
    ].join('\n'),
  ]
}

/** The first one that can do all of this: releaser.rb, `GLAB_REQUIRED_VERSION`. */
const oldestGlab = '1.58.0'

/** `ADDITIONAL_CA_CERT_BUNDLE` names a file: a variable of the type `file` does. */
const caCertificate = [
  '  if [ -f "$$ADDITIONAL_CA_CERT_BUNDLE" ]; then',
  '    glab config set ca_cert "$$ADDITIONAL_CA_CERT_BUNDLE" --host "$$CI_SERVER_FQDN"',
  '  fi',
]

function withGlab(release: Definition): string {
  const words = ['glab release create', quoted(text(release.tag_name) ?? '$CI_COMMIT_TAG'), '-R "$$CI_PROJECT_PATH"']
  const flag = (name: string, value: string | undefined) => {
    if (value !== undefined) words.push(`--${name} ${quoted(value)}`)
  }
  const milestones = milestonesOf(release)
  const links = release.assets?.links ?? []
  flag('assets-links', links.length > 0 ? JSON.stringify(links) : undefined)
  flag('milestone', milestones.length > 0 ? milestones.join(',') : undefined)
  flag('name', text(release.name))
  flag('experimental-notes-text-or-file', text(release.description))
  flag('ref', text(release.ref) ?? '$CI_COMMIT_SHA')
  flag('tag-message', text(release.tag_message))
  flag('released-at', text(release.released_at))
  words.push('--no-update --no-close-milestone')
  return words.join(' ')
}

/** Flags of `release-cli create`, in GitLab's order. */
const flags = ['name', 'description', 'tag_name', 'tag_message', 'ref', 'released_at'] as const

function withReleaseCli(release: Definition): string {
  const words = ['release-cli create']
  for (const flag of flags) {
    if (typeof release[flag] === 'string') words.push(`--${flag.replace('_', '-')} ${quoted(release[flag])}`)
  }
  for (const milestone of milestonesOf(release)) words.push(`--milestone ${quoted(milestone)}`)
  for (const link of release.assets?.links ?? []) words.push(`--assets-link ${quoted(JSON.stringify(link))}`)
  return words.join(' ')
}

function milestonesOf({ milestones }: Definition): string[] {
  return [milestones ?? []].flat()
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

const special = /\$(?:\{[A-Za-z_]\w*\}|[A-Za-z_]\w*)|[$"\\`]/g

/**
 * For a POSIX shell, which is to put variables in by itself: the runner would put their values into the text of the
 * command, where a commit's title could be a command. To the runner `$$` is a dollar.
 */
function quoted(value: string): string {
  const inside = value.replace(special, (found) => {
    if (found.length > 1) return `$${found}`
    return found === '$' ? '\\$$' : `\\${found}`
  })
  return `"${inside}"`
}
