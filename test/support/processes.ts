/** The built program as processes: a coordinator that can be killed and started again, runners, and the command itself. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const program = fileURLToPath(new URL('../../dist/bundle/main.js', import.meta.url))

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

/** How Node begins what it warns of. */
const nodeWarning = /^\(node:\d+\) /

/**
 * The lines of a log that should not be there: what is neither JSON nor the sentence that a command ends with, and warnings
 * of Node. The last one may have been cut off.
 */
function strayLines(log: string): string[] {
  return log
    .split('\n')
    .slice(0, -1)
    .filter((line) => line !== '' && !line.startsWith('signalbox: ') && messageOf(line) === undefined)
}

function messageOf(line: string): string | undefined {
  try {
    const { msg } = JSON.parse(line)
    return msg === 'Node warns' ? undefined : String(msg)
  } catch {
    return undefined
  }
}

/** Runs the command to its end. Rejects if Node has warned of something. */
export function signalbox(
  args: string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const { NO_COLOR: _, FORCE_COLOR: __, ...env } = process.env
    const child = execFile(
      process.execPath,
      [program, ...args],
      {
        ...(options.cwd ? { cwd: options.cwd } : {}),
        env: { ...env, ...options.env },
        maxBuffer: 64 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        const warnings = stderr.split('\n').filter((line) => nodeWarning.test(line))
        if (warnings.length > 0) reject(new Error(`the command was warned: ${warnings.join('\n')}`))
        resolve({ code: error ? ((error.code as number | undefined) ?? null) : 0, stdout, stderr })
      },
    )
    child.stdin?.end(options.input ?? '')
  })
}

/** Runs git to its end; throws with its words if it fails. */
export async function git(cwd: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = {
      ...process.env,
      GIT_AUTHOR_NAME: 'Ada',
      GIT_AUTHOR_EMAIL: 'ada@example.com',
      GIT_COMMITTER_NAME: 'Ada',
      GIT_COMMITTER_EMAIL: 'ada@example.com',
      GIT_TERMINAL_PROMPT: '0',
    }
    execFile('git', args, { cwd, env }, (error, stdout, stderr) =>
      error ? reject(new Error(`git ${args[0]}: ${stderr}`)) : resolve(stdout),
    )
  })
}

export interface CoordinatorOptions {
  /** The data folder of another node of the same store. */
  sharing?: string
  /** Flags of `serve` beside those that every test needs. */
  flags?: string[]
  /** A command that runs the program, such as a tracer. */
  wrapper?: string[]
  /** Flags of Node itself. */
  nodeFlags?: string[]
  /** The program, where it is not the one that was built here. */
  program?: string
}

/** A coordinator in a temporary folder, as a process. */
export class Coordinator implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-box-'))
  url = ''
  grpcUrl = ''
  #process: ChildProcess | undefined
  #pid = 0
  #children: ChildProcess[] = []
  stderr = ''
  #runnerLogs = ''
  readonly #flags: string[]
  readonly #wrapper: string[]
  readonly #nodeFlags: string[]
  readonly #program: string

  private constructor(options: CoordinatorOptions) {
    this.#flags = options.flags ?? []
    this.#wrapper = options.wrapper ?? []
    this.#nodeFlags = options.nodeFlags ?? []
    this.#program = options.program ?? program
  }

  static async start(options: CoordinatorOptions = {}): Promise<Coordinator> {
    const box = new Coordinator(options)
    if (options.sharing) {
      mkdirSync(box.dataDir, { mode: 0o700 })
      for (const file of ['key', 'admin-token'])
        copyFileSync(path.join(options.sharing, file), path.join(box.dataDir, file))
    }
    await box.up()
    return box
  }

  get dataDir(): string {
    return path.join(this.folder, 'data')
  }

  get token(): string {
    return readFileSync(path.join(this.dataDir, 'admin-token'), 'utf8').trim()
  }

  get env(): Record<string, string> {
    return { SIGNALBOX_URL: this.url, SIGNALBOX_TOKEN: this.token, NO_COLOR: '1' }
  }

  /** Starts the process, on the ports that it had before. Resolves when it is ready. */
  async up(): Promise<void> {
    const ready = path.join(this.folder, 'ready.json')
    rmSync(ready, { force: true })
    const address = (url: string) => (url === '' ? '127.0.0.1:0' : new URL(url.replace(/^grpc/, 'http')).host)
    const command = [
      ...this.#wrapper,
      process.execPath,
      ...this.#nodeFlags,
      this.#program,
      'serve',
      '--data-dir',
      this.dataDir,
      '--http',
      address(this.url),
      '--grpc',
      address(this.grpcUrl),
      '--ready-file',
      ready,
      '--log-level',
      'warn',
      ...this.#flags,
    ]
    const child = spawn(command[0]!, command.slice(1), { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr.on('data', (chunk) => {
      this.stderr += String(chunk)
    })
    this.#process = child
    const exited = once(child)
    await Promise.race([
      fileAppears(ready),
      exited.then((code) => {
        throw new Error(`serve ended with ${code}: ${this.stderr}`)
      }),
    ])
    const { http, grpc, pid } = JSON.parse(readFileSync(ready, 'utf8'))
    this.#pid = pid
    this.url = http
    this.grpcUrl = grpc
  }

  /** Ends the process without a word to it. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process!
    const gone = once(child)
    child.kill('SIGKILL')
    await gone
  }

  /** Asks it to stop. Gives the exit code. */
  async stop(): Promise<number | null> {
    const gone = once(this.#process!)
    // The pid is the program's own: a tracer before it would not hand the signal on.
    process.kill(this.#pid, 'SIGTERM')
    return gone
  }

  /** Sends a signal to the process. */
  signal(name: NodeJS.Signals): void {
    process.kill(this.#pid, name)
  }

  /** Resolves with the exit code when the process ends by itself. */
  ended(): Promise<number | null> {
    return once(this.#process!)
  }

  signalbox(...args: string[]): Promise<Finished> {
    return signalbox(args, { cwd: this.folder, env: this.env })
  }

  async api<T>(method: string, route: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.url}${route}`, {
      method,
      headers: { 'PRIVATE-TOKEN': this.token, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }

  /** A folder with one commit of these files, and a remote that points here. */
  async repository(projectPath: string, files: Record<string, string>): Promise<string> {
    const { writeFileSync } = await import('node:fs')
    const folder = path.join(this.folder, 'work', projectPath)
    mkdirSync(folder, { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text)
    await git(folder, 'init', '--quiet', '--initial-branch=main')
    await git(folder, 'add', '--all')
    await git(folder, 'commit', '--quiet', '--message', 'First')
    const remote = new URL(this.url)
    remote.username = 'root'
    remote.password = this.token
    await git(folder, 'remote', 'add', 'origin', `${remote.href}${projectPath}.git`)
    return folder
  }

  /** Starts a runner of its own as a process. */
  async runner(transport: 'websocket' | 'grpc' | 'poll', flags: string[] = []): Promise<ChildProcess> {
    const { stdout } = await this.signalbox('runner', 'create', '--description', transport)
    const child = spawn(
      process.execPath,
      [
        program,
        'runner',
        'start',
        '--url',
        transport === 'grpc' ? this.grpcUrl : this.url,
        '--transport',
        transport,
        '--work-dir',
        path.join(this.folder, `work-${transport}`),
        ...flags,
      ],
      {
        cwd: this.folder,
        stdio: ['ignore', 'ignore', process.env.DEBUG_RUNNER ? 'inherit' : 'pipe'],
        env: { ...process.env, SIGNALBOX_RUNNER_TOKEN: stdout.trim() },
      },
    )
    child.stderr?.on('data', (chunk) => {
      this.#runnerLogs += String(chunk)
    })
    this.#children.push(child)
    return child
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = once(child)
      child.kill('SIGKILL')
      await gone
    }
    const child = this.#process
    if (child && child.exitCode === null && child.signalCode === null) await this.kill()
    if (process.env.KEEP_DB) console.log(`kept ${this.folder}`)
    else rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
    // A tracer writes lines of its own.
    const stray = [...(this.#wrapper.length > 0 ? [] : strayLines(this.stderr)), ...strayLines(this.#runnerLogs)]
    if (stray.length > 0) throw new Error(`a log has lines that should not be there: ${stray.slice(0, 20).join('\n')}`)
  }
}

function once(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)))
}

function fileAppears(file: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(path.dirname(file), () => {
      if (!existsSync(file)) return
      watcher.close()
      resolve()
    })
    if (existsSync(file)) {
      watcher.close()
      resolve()
    }
  })
}
