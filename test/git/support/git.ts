import { spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** A folder that is gone at the end of the test. */
export function temporaryFolder(): { path: string } & Disposable {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-git-'))
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

export interface GitResult {
  code: number | null
  stdout: string
  stderr: string
}

const quiet = {
  // Nothing here is worth packing tight.
  GIT_CONFIG_COUNT: '2',
  GIT_CONFIG_KEY_0: 'init.defaultBranch',
  GIT_CONFIG_VALUE_0: 'main',
  GIT_CONFIG_KEY_1: 'core.compression',
  GIT_CONFIG_VALUE_1: '0',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Grace',
  GIT_COMMITTER_EMAIL: 'grace@example.com',
  GIT_AUTHOR_DATE: '1767225600 +0100',
  GIT_COMMITTER_DATE: '1767229200 +0200',
}

/** Runs the git of a user, whatever its outcome. */
export function tryGit(cwd: string, ...args: string[]): Promise<GitResult> {
  const child = spawn('git', args, {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, ...quiet },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const result: GitResult = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    result.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    result.stderr += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ ...result, code }))
  })
}

/** Runs git and gives what it wrote, less the newline at the end; rejects when it fails. */
export async function git(cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tryGit(cwd, ...args)
  if (code !== 0) throw new Error(`git ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout.trimEnd()
}

/** A user's working copy. */
export class Work {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  static async init(parent: string, name = 'work'): Promise<Work> {
    const folder = path.join(parent, name)
    mkdirSync(folder)
    const work = new Work(folder)
    await work.git('init', '--quiet')
    return work
  }

  git(...args: string[]): Promise<string> {
    return git(this.folder, ...args)
  }

  try(...args: string[]): Promise<GitResult> {
    return tryGit(this.folder, ...args)
  }

  write(file: string, content: string | Buffer): void {
    const full = path.join(this.folder, file)
    mkdirSync(path.dirname(full), { recursive: true })
    writeFileSync(full, content)
  }

  /** Commits these files on top of what is there; gives the commit. */
  async commit(files: Record<string, string>, message = 'Change files'): Promise<string> {
    for (const [file, content] of Object.entries(files)) this.write(file, content)
    await this.git('add', '--all')
    await this.git('commit', '--quiet', '--allow-empty', '-m', message)
    return this.head()
  }

  /** The commit that is checked out: read, not asked for, since a process costs more than all the rest. */
  head(): string {
    const head = this.#read('HEAD')
    return head.startsWith('ref: ') ? this.#read(head.slice(5)) : head
  }

  /** Where `origin` is. */
  setOrigin(url: string): void {
    appendFileSync(
      path.join(this.folder, '.git/config'),
      `[remote "origin"]\n\turl = ${url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n`,
    )
  }

  #read(file: string): string {
    return readFileSync(path.join(this.folder, '.git', file), 'utf8').trimEnd()
  }
}
