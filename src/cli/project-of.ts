/** Which project a command is about: `--project`, `SIGNALBOX_PROJECT`, or the git remote that points at the coordinator. */
import { execFileSync } from 'node:child_process'
import { Exit, exitCodes } from './exit.js'

/** The project as `/api/v4` takes it: an id, or the path encoded. */
export function projectOf(given: string | undefined, env: NodeJS.ProcessEnv, cwd: string, url: string): string {
  const project = given || env.SIGNALBOX_PROJECT || remoteProject(cwd, url)
  if (!project) {
    throw new Exit(
      exitCodes.usage,
      'no project: give --project GROUP/NAME, or set SIGNALBOX_PROJECT',
      `or add this coordinator as a git remote: git remote add signalbox ${url}/GROUP/NAME.git`,
    )
  }
  return encodeURIComponent(project)
}

/** The path of the project that a remote of the clone in this folder points at; undefined: there is none on this coordinator. */
export function remoteProject(cwd: string, url: string): string | undefined {
  let remotes: string
  try {
    remotes = execFileSync('git', ['remote', '-v'], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
  const { host } = new URL(url)
  for (const line of remotes.split('\n')) {
    const remote = line.split(/\s+/)[1]
    if (!remote || !URL.canParse(remote)) continue
    const parsed = new URL(remote)
    if (parsed.host === host) return decodeURIComponent(parsed.pathname.replace(/^\/+/, '').replace(/\.git$/, ''))
  }
  return undefined
}
