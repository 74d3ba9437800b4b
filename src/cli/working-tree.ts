/** The folder that a command stands in, as a repository: with git or without. */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { Exit, exitCodes } from './exit.js'

/** The folder whose pipeline is meant. */
export interface WorkingTree {
  /** The repository's top folder, or the folder itself where there is no git. */
  root: string
  /** The git folder; undefined where there is none. */
  gitDir: string | undefined
  /** The git folder that linked working trees share: of objects and refs. */
  commonDir: string | undefined
  /** How objects are named. */
  objectFormat: 'sha1' | 'sha256'
  /** The commit checked out; undefined before the first one. */
  head: string | undefined
  /** That commit's tree. */
  tree: string | undefined
  /** The branch checked out, also before its first commit; undefined where HEAD is detached. `main` without git. */
  branch: string | undefined
}

/**
 * Looks at a folder. One git process; none of the repository's files is written. Throws `Exit` for a repository that has
 * no working tree, or that git will not touch.
 */
export function workingTree(folder: string): WorkingTree {
  const parse = (...args: string[]) => gitOutput(folder, ['rev-parse', ...args])?.split('\n')
  const place = ['--show-toplevel', '--absolute-git-dir', '--git-common-dir', '--show-object-format']
  // A repository without a commit has no HEAD to resolve.
  const facts = parse(...place, 'HEAD', 'HEAD^{tree}', '--symbolic-full-name', 'HEAD') ?? parse(...place)
  if (!facts) {
    refuseUnusable(folder)
    const none = { gitDir: undefined, commonDir: undefined, head: undefined, tree: undefined }
    return { root: folder, ...none, objectFormat: 'sha1', branch: 'main' }
  }
  const [root, gitDir, commonDir, format, head, tree, full = gitOutput(folder, ['symbolic-ref', 'HEAD'])] = facts
  return {
    root: root!,
    gitDir,
    commonDir: path.resolve(folder, commonDir!),
    objectFormat: format === 'sha256' ? 'sha256' : 'sha1',
    head,
    tree,
    branch: full?.startsWith('refs/heads/') ? full.slice('refs/heads/'.length) : undefined,
  }
}

/** What git cannot or will not read is no folder without git: its ignored files would be taken for sources. */
function refuseUnusable(folder: string): void {
  if (gitOutput(folder, ['rev-parse', '--is-inside-git-dir']) === 'true') {
    throw new Exit(
      exitCodes.usage,
      `${folder} is a git folder without a working tree`,
      'give a working tree with --cwd',
    )
  }
  if (!existsSync(path.join(folder, '.git'))) return
  const { stderr } = spawnSync('git', ['rev-parse', '--show-toplevel'], { cwd: folder, encoding: 'utf8' })
  if (stderr) throw new Exit(exitCodes.usage, `git cannot read the repository in ${folder}: ${stderr.trim()}`)
}

/** Folders of our own that a repository may hold: they are no sources, and there are tokens in them. */
export const ownFolders = ['signalbox-data', 'signalbox-work'] as const

/** Tracked files that are there, and untracked ones that are not ignored; every file where there is no git. */
export function listFiles(root: string): string[] {
  const own = ownFolders.map((name) => `--exclude=${name}/`)
  const list = (...args: string[]) =>
    gitOutput(root, ['ls-files', '-z', ...args, '--exclude-standard', ...own], true)
      ?.split('\0')
      .filter((name) => name !== '')
  const listed = list('--cached', '--others')
  if (listed !== undefined) {
    const deleted = new Set(list('--deleted'))
    return listed.filter((name) => !deleted.has(name))
  }
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .filter((name) => !name.split(path.sep).some((part) => ownFolders.some((own) => own === part)))
}

/** As `gitOutput`, while the caller goes on. */
export async function askGit(cwd: string, args: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('git', args, { cwd, encoding: 'utf8', maxBuffer: longestAnswer })
    return stdout.trim()
  } catch {
    return undefined
  }
}

const longestAnswer = 256 * 1024 * 1024

/** What git writes, without blanks at its ends unless it is wanted raw; undefined when git fails or is not there. */
export function gitOutput(cwd: string, args: string[], raw = false): string | undefined {
  try {
    const text = execFileSync('git', args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: longestAnswer,
    })
    return raw ? text : text.trim()
  } catch {
    return undefined
  }
}
