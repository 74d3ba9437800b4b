/** Runs the scripts of jobs by a shell. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { CancelInput, ExecutorRunner, PrepareInput, PrepareResult, RunInput, RunResult } from '../../sdk.js'
import { jobEnvironment } from './environment.js'
import { OutputPipes, openOutputPipe } from './output.js'
import { endProcesses, groupAlive, killProcesses, type ProcessTree, ticksSinceBoot } from './process-tree.js'

/**
 * Runs scripts as processes of this host. Each script is a file in the session's temporary folder, given to the shell
 * by its path, so that nothing of it is seen in a process list; it leads a process group and session of its own.
 */
export class ShellRunner implements ExecutorRunner {
  readonly #sessions = new Map<string, Session>()
  readonly #pipes = new OutputPipes()
  readonly #shell: { name: 'bash' | 'sh'; file: string }

  constructor(wanted: 'bash' | 'sh' | undefined) {
    this.#shell = findShell(wanted)
    alive.add(this)
  }

  async prepare({ session, folders }: PrepareInput): Promise<PrepareResult> {
    const since = ticksSinceBoot()
    const pipe = await this.#pipes.take()
    this.#sessions.set(session, { temp: folders.temp, pipe, since, leaders: [], running: undefined })
    return { facts: { shell: this.#shell.name, host: os.hostname() }, shell: this.#shell.name }
  }

  async run(input: RunInput, output: (chunk: Uint8Array) => Promise<void>): Promise<RunResult> {
    const session = this.#sessions.get(input.session)
    if (session === undefined) throw new Error(`session ${input.session} is not prepared`)
    const file = path.join(session.temp, `.script-${randomBytes(4).toString('hex')}`)
    fs.writeFileSync(file, input.script, { mode: 0o700 })
    const pipe = openOutputPipe(session.pipe)
    try {
      const ended = this.#start(session, file, input, pipe.writeEnd)
      session.running = ended
      pipe.handedOver()
      const read = pipe.pump(output).catch(async (error: unknown) => {
        // The output cannot be kept: there is no point in going on.
        await endProcesses(treeOf(input.session, session), 0)
        throw error
      })
      const [result] = await Promise.all([ended.finally(() => pipe.finish()), read])
      return result
    } finally {
      session.running = undefined
      pipe.destroy()
      fs.rmSync(file, { force: true })
    }
  }

  #start(session: Session, file: string, input: RunInput, out: number): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      let child: ChildProcess
      try {
        child = spawn(this.#shell.file, [file], {
          cwd: input.cwd,
          env: jobEnvironment(process.env, input.env, input.session),
          stdio: ['ignore', out, out],
          detached: true,
        })
      } catch (error) {
        reject(describeSpawnError(error as NodeJS.ErrnoException, input.cwd))
        return
      }
      const { pid } = child
      if (pid !== undefined) session.leaders.push(pid)
      child.once('error', (error) => reject(describeSpawnError(error, input.cwd)))
      child.once('exit', (exitCode, signal) => {
        session.leaders = session.leaders.filter((leader) => leader !== pid || groupAlive(leader))
        resolve({ exitCode, signal })
      })
    })
  }

  async cancel({ session: name, graceMs }: CancelInput): Promise<void> {
    const session = this.#sessions.get(name)
    if (session === undefined) return
    await endProcesses(treeOf(name, session), graceMs)
    await session.running?.catch(() => undefined)
  }

  /** Also ends what an earlier process of the runner left of this session. */
  async cleanUp({ session: name }: { session: string }): Promise<void> {
    const session = this.#sessions.get(name)
    this.#sessions.delete(name)
    await endProcesses(treeOf(name, session), leftoverGraceMs)
    if (session !== undefined) this.#pipes.give(session.pipe)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.keys()].map((session) => this.cleanUp({ session })))
    await this.#pipes.close()
    alive.delete(this)
  }

  /** For a process that is about to end and can wait for nothing. */
  killAll(): void {
    for (const [name, session] of this.#sessions) killProcesses(treeOf(name, session))
    this.#pipes.remove()
  }
}

/**
 * However this process ends by itself, no script of a job outlives it. First of all that is done at the end: whoever
 * removes folders then must not meet a script that still writes.
 */
const alive = new Set<ShellRunner>()
process.prependListener('exit', () => {
  for (const runner of alive) runner.killAll()
})

interface Session {
  temp: string
  pipe: string
  /** When it began, in the system's ticks. */
  since: number
  /** Process ids of the shells started so far. */
  leaders: number[]
  running: Promise<RunResult> | undefined
}

function treeOf(name: string, session: Session | undefined): ProcessTree {
  return { session: name, leaders: session?.leaders ?? [], since: session?.since ?? 0 }
}

/** What a job leaves running behind it is asked to go, and then made to. */
const leftoverGraceMs = 200

function findShell(wanted: 'bash' | 'sh' | undefined): { name: 'bash' | 'sh'; file: string } {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/local/bin', '/usr/bin', '/bin']
  for (const name of wanted === undefined ? (['bash', 'sh'] as const) : [wanted]) {
    for (const folder of folders.filter((each) => path.isAbsolute(each))) {
      const file = path.join(folder, name)
      try {
        fs.accessSync(file, fs.constants.X_OK)
        return { name, file }
      } catch {
        // The next folder.
      }
    }
  }
  throw new Error(`no ${wanted ?? 'bash or sh'} found on this host`)
}

function describeSpawnError(error: NodeJS.ErrnoException, cwd: string): Error {
  if (error.code === 'E2BIG') {
    return new Error('the variables of the job are larger than this system can hand to a process', { cause: error })
  }
  if (error.code === 'ENOENT' && !fs.existsSync(cwd)) return new Error(`the folder ${cwd} is gone`, { cause: error })
  return error
}
