/**
 * The step that makes a release after the job's script: one call of release-cli, as gitlab lib/gitlab/ci/build/releaser.rb
 * writes it.
 */

/** Flags of `release-cli create`, in GitLab's order. */
const flags = ['name', 'tag_name', 'tag_message', 'description', 'ref', 'released_at'] as const

/** The lines of the step. `release`: as the job's definition has it. */
export function releaseScript(release: Record<string, unknown>): string[] {
  const words = ['release-cli create']
  for (const flag of flags) {
    if (typeof release[flag] === 'string') words.push(`--${flag.replace('_', '-')} ${quoted(release[flag])}`)
  }
  const { milestones, assets } = release as { milestones?: string | string[]; assets?: { links?: object[] } }
  for (const milestone of [milestones ?? []].flat()) words.push(`--milestone ${quoted(milestone)}`)
  for (const link of assets?.links ?? []) words.push(`--assets-link ${quoted(JSON.stringify(link))}`)
  return [words.join(' ')]
}

const special = /\$(?:\{[A-Za-z_]\w*\}|[A-Za-z_]\w*)|[$"\\`]/g

/**
 * For a POSIX shell, which is to put variables in by itself: the runner would put their values into the text of the
 * command, where a commit's title could be a command. To the runner `$$` is a dollar.
 */
function quoted(text: string): string {
  const inside = text.replace(special, (found) => {
    if (found.length > 1) return `$${found}`
    return found === '$' ? '\\$$' : `\\${found}`
  })
  return `"${inside}"`
}
