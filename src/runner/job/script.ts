/** Makes shell scripts of lists of commands. */

export type Shell = 'bash' | 'sh'

const green = '\x1b[32;1m'
const reset = '\x1b[0;m'
const yellow = '\x1b[0;33m'

/** A text as one word of a shell script, whatever is in it. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** A command whose words are all quoted. */
export function command(...words: string[]): string {
  return words.map((word) => (/^[\w./:=@%+-]+$/.test(word) ? word : quote(word))).join(' ')
}

/** Prints one line, in green. */
export function notice(text: string): string {
  return `printf '%s\\n' ${quote(`${green}${text}${reset}`)}`
}

/** Prints one line as a warning. */
export function warning(text: string): string {
  return `printf '%s\\n' ${quote(`${yellow}${text}${reset}`)}`
}

/**
 * The lines of a job's script, each shown before it runs; of a line that is a small script itself the first line is
 * shown. Source: GitLab Runner, `shells/abstract.go` (writeCommands).
 */
export function userLines(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const text = line.trim()
    if (text === '') return ['echo']
    const end = text.indexOf('\n')
    const shown = end < 0 ? `$ ${text}` : `$ ${text.slice(0, end)} # collapsed multi-line command`
    return [notice(shown), text]
  })
}

/**
 * A whole script: it ends at the first command that fails, in a pipe too where the shell can tell.
 * @param trace show every command as the shell sees it (`CI_DEBUG_TRACE`)
 */
export function wholeScript(shell: Shell, lines: readonly string[], trace: boolean): string {
  return [
    `#!/usr/bin/env ${shell}`,
    ...(trace ? ['set -o xtrace'] : []),
    ...(shell === 'bash' ? ['set -o pipefail'] : []),
    'set -o errexit',
    'set +o noclobber',
    ...lines,
    '',
  ].join('\n')
}
