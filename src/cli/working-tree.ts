/** The folder that a command stands in, as a repository: with git or without. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import type { CompileOptions } from '../core/ci-config/plan.js'

export interface WorkingTree {
  /** The repository's top folder, or the folder itself where there is no git. */
  root: string
  /** The git folder; undefined where there is none. */
  gitDir: string | undefined
  /** The commit checked out; undefined before the first one. */
  head: string | undefined
  /** That commit's tree. */
  tree: string | undefined
  /** The branch checked out; `main` where there is none. */
  branch: string
}

/** Looks at a folder. One git process; none of the repository's files is written. */
export function workingTree(folder: string): WorkingTree {
  const parse = (...args: string[]) => gitOutput(folder, ['rev-parse', ...args])?.split('\n')
  // A repository without a commit has no HEAD to resolve.
  const facts = parse('--show-toplevel', '--absolute-git-dir', 'HEAD', 'HEAD^{tree}', '--abbrev-ref', 'HEAD')
  if (facts) {
    const [root, gitDir, head, tree, branch] = facts
    return { root: root!, gitDir, head, tree, branch: branch === 'HEAD' || !branch ? 'main' : branch }
  }
  const unborn = parse('--show-toplevel', '--absolute-git-dir')
  if (!unborn) return { root: folder, gitDir: undefined, head: undefined, tree: undefined, branch: 'main' }
  const branch = gitOutput(folder, ['symbolic-ref', '--short', 'HEAD'])
  return { root: unborn[0]!, gitDir: unborn[1], head: undefined, tree: undefined, branch: branch ?? 'main' }
}

/** What `include:local` finds in a folder: files of the working tree, never outside it. */
export function localIncludes(root: string): Pick<CompileOptions, 'fetchInclude' | 'listFiles'> {
  return {
    fetchInclude: async (request) => {
      if (request.kind !== 'local') {
        return { ok: false, reason: `${request.kind} includes need a coordinator that may fetch them` }
      }
      const content = readInside(root, request.path)
      return content === undefined ? { ok: false, reason: 'file missing' } : { ok: true, content }
    },
    listFiles: async () => listFiles(root),
  }
}

function readInside(root: string, name: string): string | undefined {
  const file = path.join(root, name)
  try {
    const real = realpathSync(file)
    const inside = path.relative(realpathSync(root), real)
    if (inside.startsWith('..') || path.isAbsolute(inside) || !statSync(real).isFile()) return undefined
    return readFileSync(real, 'utf8')
  } catch {
    return undefined
  }
}

/** Tracked and untracked files that are not ignored; every file where there is no git. */
export function listFiles(root: string): string[] {
  const listed = gitOutput(root, ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], true)
  if (listed !== undefined) return listed.split('\0').filter((name) => name !== '')
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
}

/** A name for the project of a folder: its own, in characters that a path may have. */
export function projectName(root: string): string {
  const name = path
    .basename(root)
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^-+|-+$/g, '')
  return name === '' ? 'project' : name
}

/** What git writes, without blanks at its ends unless it is wanted raw; undefined when git fails or is not there. */
export function gitOutput(cwd: string, args: string[], raw = false): string | undefined {
  try {
    const text = execFileSync('git', args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 256 * 1024 * 1024,
    })
    return raw ? text : text.trim()
  } catch {
    return undefined
  }
}
