/** The runner's own token, and how it is kept from jobs, which may run as the same user. */
import fs from 'node:fs'
import { Exit, exitCodes } from './exit.js'

/** Where a token may be given. */
export interface TokenOptions {
  token?: string
  tokenFile?: string
}

const variable = 'SIGNALBOX_RUNNER_TOKEN'

/**
 * The token of the flag, the file (`-`: standard input) or the environment; undefined: none is given. It is then in none
 * of the places where a process of the same user could read it. Throws `Exit` (2) for a file that cannot be read.
 */
export function runnerToken({ token, tokenFile }: TokenOptions): string | undefined {
  if (token !== undefined && tokenFile !== undefined) {
    throw new Exit(exitCodes.usage, '--token and --token-file exclude each other')
  }
  const inEnvironment = process.env[variable]
  const found = token ?? (tokenFile === undefined ? inEnvironment : tokenIn(tokenFile))
  if (inEnvironment !== undefined) forgetVariable(inEnvironment)
  if (token !== undefined) forgetArguments()
  return found === '' ? undefined : found
}

function tokenIn(file: string): string {
  try {
    return fs.readFileSync(file === '-' ? 0 : file, 'utf8').trim()
  } catch (error) {
    throw new Exit(exitCodes.usage, `--token-file: cannot read ${file}: ${(error as Error).message}`)
  }
}

/**
 * Takes a secret out of `/proc/self/environ`, which shows the memory that this process was started with, whatever the
 * variable is set to since: proc_pid_environ(5). The place of that memory is in `/proc/self/stat` (proc_pid_stat(5), fields
 * `env_start` and `env_end`). Elsewhere than on Linux there is no such file, and the variable is all there is.
 */
function forgetVariable(secret: string): void {
  delete process.env[variable]
  if (process.platform !== 'linux' || secret === '') return
  try {
    const stat = fs.readFileSync('/proc/self/stat', 'latin1')
    const start = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[envStartField])
    const environment = fs.readFileSync('/proc/self/environ')
    const entry = Buffer.from(`${variable}=${secret}`)
    const memory = fs.openSync('/proc/self/mem', 'r+')
    try {
      for (let at = environment.indexOf(entry); at >= 0; at = environment.indexOf(entry, at + 1)) {
        fs.writeSync(memory, Buffer.alloc(entry.length, 'x'), 0, entry.length, start + at)
      }
    } finally {
      fs.closeSync(memory)
    }
  } catch (error) {
    process.stderr.write(
      `warning: jobs of this user may read the token in /proc/${process.pid}/environ: ${(error as Error).message}\n`,
    )
  }
}

/** The 50th field, counted from the third. */
const envStartField = 47

/** What `ps` shows of a process is overwritten by its title. */
function forgetArguments(): void {
  process.title = 'signalbox runner'
}
