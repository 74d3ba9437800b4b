/** The folder of one runner process, held by a lock. */
import fs from 'node:fs'
import path from 'node:path'
import { RunnerError } from './runner-error.js'

/** The folder in which one runner process works. */
export interface WorkFolder {
  root: string
  builds: string
  spool: string
  release(): void
}

/**
 * Makes the folder and takes it for this process: a second one would take the running jobs of the first for what a
 * crash has left, and end them.
 * @throws RunnerError with code `usage` if another process that is alive has it.
 */
export function takeWorkFolder(workDir: string): WorkFolder {
  const root = path.resolve(workDir)
  const folders = { root, builds: path.join(root, 'builds'), spool: path.join(root, 'spool') }
  fs.mkdirSync(folders.builds, { recursive: true })
  fs.mkdirSync(folders.spool, { recursive: true, mode: 0o700 })
  // Whoever starts a runner in a repository does not want the builds in it.
  const ignore = path.join(root, '.gitignore')
  if (!fs.existsSync(ignore)) fs.writeFileSync(ignore, '*\n')
  // Node resolves links in paths that it gives to children; the two must agree.
  const real = fs.realpathSync(root)
  const lock = path.join(real, '.runner.lock')
  const own = `${process.pid} ${startOf(process.pid)}`
  const holder = take(lock, own)
  if (inUse.has(real) || (holder !== own && isAlive(holder))) {
    const [pid] = holder.split(' ')
    throw new RunnerError('usage', `the work folder ${root} is in use by another runner (process ${pid})`)
  }
  // Left by a process that is gone.
  if (holder !== own) fs.writeFileSync(lock, own)
  inUse.add(real)
  let held = true
  return {
    root: real,
    builds: path.join(real, 'builds'),
    spool: path.join(real, 'spool'),
    release() {
      if (!held) return
      held = false
      inUse.delete(real)
      fs.rmSync(lock, { force: true })
    },
  }
}

const inUse = new Set<string>()

/** The process that works in a folder now; undefined: none. Changes nothing. */
export function holderOf(workDir: string): number | undefined {
  let holder: string
  try {
    holder = fs.readFileSync(path.join(workDir, '.runner.lock'), 'utf8').trim()
  } catch {
    return undefined
  }
  return isAlive(holder) ? Number(holder.split(' ')[0]) : undefined
}

/** @returns who holds the lock now. */
function take(lock: string, own: string): string {
  try {
    fs.writeFileSync(lock, own, { flag: 'wx' })
    return own
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return fs.readFileSync(lock, 'utf8').trim()
  }
}

function isAlive(holder: string): boolean {
  const [pid, start] = holder.split(' ')
  if (pid === undefined || !/^\d+$/.test(pid)) return false
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  // A process number comes again; together with the time of its start it does not.
  return startOf(Number(pid)) === start
}

function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie only waits for its parent, in some containers for ever.
    return fields[0] === 'Z' ? 'gone' : (fields[19] ?? 'unknown')
  } catch {
    return 'unknown'
  }
}
