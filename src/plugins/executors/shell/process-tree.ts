/** Finds and ends every process that a job has started. */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { sessionMarker } from './environment.js'

/**
 * The processes of a job. A process group alone does not hold them: a daemon starts a session of its own. On Linux they
 * are found in /proc by four marks: process group, session, descent, and a variable in their environment that survives
 * a double fork. Elsewhere only the process group can be told.
 */
export interface ProcessTree {
  session: string
  /** Process ids of the shells that were started for the job, each leader of its own group and session. */
  leaders: readonly number[]
  /** Processes that began before are not of the tree; in ticks since the system was started, 0 if it is not known. */
  since: number
}

/** Process ids that are alive and belong to the tree. */
function findProcesses(tree: ProcessTree): number[] {
  const processes = listProcesses()
  if (processes === undefined) return tree.leaders.filter((leader) => groupAlive(leader))
  const leaders = new Set(tree.leaders)
  const marker = `${sessionMarker}=${tree.session}`
  const found = new Set<number>()
  for (const each of processes) {
    if (each.began < tree.since) continue
    if (leaders.has(each.group) || leaders.has(each.session) || hasMarker(each.pid, marker)) found.add(each.pid)
  }
  for (let grown = true; grown; ) {
    grown = false
    for (const each of processes) {
      if (!found.has(each.pid) && found.has(each.parent)) {
        found.add(each.pid)
        grown = true
      }
    }
  }
  found.delete(process.pid)
  return processes.filter((each) => found.has(each.pid) && !each.dead).map((each) => each.pid)
}

/**
 * Ends the tree: politely, then by force for whatever is left after `graceMs`; 0 is force at once. The polite signal is
 * sent once, to those alive at the first look: what a script starts in its own trap may do its work until the force.
 * @returns when nothing of the tree is alive.
 */
export async function endProcesses(tree: ProcessTree, graceMs: number): Promise<void> {
  const forceAt = performance.now() + graceMs
  let asked = false
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 250)) {
    const alive = findProcesses(tree)
    if (alive.length === 0) return
    const force = performance.now() >= forceAt
    if (force || !asked) for (const pid of alive) signal(pid, force ? 'SIGKILL' : 'SIGTERM')
    asked = true
    await sleep(force ? 5 : Math.min(pauseMs, Math.max(1, forceAt - performance.now())))
  }
}

/** Kills the tree in one go, for a process that is about to end and can wait for nothing. */
export function killProcesses(tree: ProcessTree): void {
  for (const pid of findProcesses(tree)) signal(pid, 'SIGKILL')
}

/**
 * Whether any process is left in the group that `leader` made. While one is, the system does not give the number to
 * another process; afterwards it may, so a leader without a group must be forgotten.
 */
export function groupAlive(leader: number): boolean {
  try {
    process.kill(-leader, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

interface ProcessFacts {
  pid: number
  parent: number
  group: number
  session: number
  /** In ticks since the system was started. */
  began: number
  /** A zombie: it only waits for its parent. */
  dead: boolean
}

/** Now, as /proc tells when a process began; early enough that what begins now is never before it. */
export function ticksSinceBoot(): number {
  try {
    // proc(5): seconds, and a hundred ticks each on every system that Node runs on. Two seconds make up for rounding.
    return Math.floor(Number.parseFloat(fs.readFileSync('/proc/uptime', 'latin1')) * 100) - 200
  } catch {
    return 0
  }
}

/** Nothing where there is no /proc. */
function listProcesses(): ProcessFacts[] | undefined {
  if (process.platform !== 'linux') return undefined
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // proc(5): the name in brackets may hold anything, so the fields are read after the last bracket.
        const stat = fs.readFileSync(`/proc/${name}/stat`, 'latin1')
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        const [parent = 0, group = 0, session = 0] = fields.slice(1, 4).map(Number)
        const dead = fields[0] === 'Z' || fields[0] === 'X'
        return [{ pid: Number(name), parent, group, session, began: Number(fields[19]), dead }]
      } catch {
        return []
      }
    })
}

function hasMarker(pid: number, marker: string): boolean {
  try {
    const environment = fs.readFileSync(`/proc/${pid}/environ`, 'latin1')
    return environment.startsWith(`${marker}\0`) || environment.includes(`\0${marker}\0`)
  } catch {
    return false
  }
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(process.platform === 'linux' ? pid : -pid, name)
  } catch {
    // Gone between the look and the signal.
  }
}
