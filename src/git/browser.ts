/** Looks into hosted repositories for people and scripts. What git is asked by is ids and checked names, never options. */
import { SignalboxError } from '../core/errors.js'
import type { Project } from '../core/project.js'
import type {
  CommitDetail,
  DiffEntry,
  FileContent,
  HistoryFilter,
  RefEntry,
  RepositoryBrowser,
  TreeEntry,
} from '../core/repository-browser.js'
import type { ParsedCommit } from './object-formats.js'
import { isObjectId, isRefName } from './ref-name.js'

type Repository = Pick<Project, 'id' | 'defaultBranch'>

/** What the browser asks of the repositories. */
export interface BrowserHost {
  /** Runs git in the repository and gives what it wrote. */
  git(project: Repository, args: readonly string[], maxBytes: number): Promise<Buffer>
  getCommit(project: Repository, sha: string): Promise<ParsedCommit>
  resolve(project: Repository, ref: string): Promise<{ sha: string } | undefined>
  readBlob(project: Repository, id: string): Promise<Buffer | undefined>
}

const mebibyte = 1024 * 1024
const largestListBytes = 32 * mebibyte
const largestDiffBytes = 8 * mebibyte
/** What nothing at all hashes to: git knows this tree in every repository. */
const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'

export class GitBrowser implements RepositoryBrowser {
  readonly #host: BrowserHost

  constructor(host: BrowserHost) {
    this.#host = host
  }

  async listRefs(project: Repository, kind: 'branches' | 'tags'): Promise<RefEntry[]> {
    const fields = ['refname:lstrip=2', 'objecttype', 'objectname', '*objecttype', '*objectname', 'contents']
    const format = `--format=${fields.map((field) => `%(${field})`).join('%00')}%00%01`
    const text = await this.#text(project, ['for-each-ref', format, kind === 'tags' ? 'refs/tags' : 'refs/heads'])
    return text
      .split('\0\x01\n')
      .slice(0, -1)
      .map((entry) => {
        const [name = '', type, target = '', peeledType, peeled, ...message] = entry.split('\0')
        const annotated = type === 'tag'
        const sha = type === 'commit' ? target : peeledType === 'commit' ? peeled : undefined
        return { name, target, sha, message: annotated ? message.join('\0').replace(/\n$/, '') : '' }
      })
  }

  async findCommit(project: Repository, revision: string): Promise<string | undefined> {
    const found = await this.#host.resolve(project, revision)
    if (found) return found.sha
    // What a clone has of its remote is there under `signalbox run`.
    const remote = `refs/remotes/${revision}`
    const full = /^[0-9a-f]{7,39}$/.test(revision) ? revision : isRefName(remote) ? remote : undefined
    if (full === undefined) return undefined
    const named = await this.#tryText(project, ['rev-parse', '--verify', '--quiet', `${full}^{commit}`])
    return named?.trim() || undefined
  }

  async commit(project: Repository, sha: string): Promise<CommitDetail> {
    const { info, parents, committer, authoredAt } = await this.#host.getCommit(project, sha)
    return { ...info, parents, committerName: committer.name, committerEmail: committer.email, authoredAt }
  }

  async listTree(
    project: Repository,
    sha: string,
    path: string,
    { recursive }: { recursive: boolean },
  ): Promise<TreeEntry[] | undefined> {
    const folder = cleanPath(path)
    if (folder === undefined) return undefined
    const { tree } = await this.#host.getCommit(project, sha)
    const named = folder === '' ? tree : `${tree}:${folder}`
    const text = await this.#tryText(project, ['ls-tree', '-z', ...(recursive ? ['-r', '-t'] : []), named])
    return text === undefined ? undefined : entriesOf(text, folder)
  }

  async readFile(project: Repository, sha: string, path: string): Promise<FileContent | undefined> {
    const file = cleanPath(path)
    if (!file) return undefined
    const { tree } = await this.#host.getCommit(project, sha)
    const found = await this.#tryText(project, [
      '--literal-pathspecs',
      'ls-tree',
      '-z',
      '--full-tree',
      tree,
      '--',
      file,
    ])
    const [entry] = entriesOf(found ?? '', '')
    if (entry?.type !== 'blob' || entry.path !== file) return undefined
    const bytes = await this.#host.readBlob(project, entry.id)
    return bytes && { id: entry.id, mode: entry.mode, bytes }
  }

  async readBlob(project: Repository, id: string): Promise<Buffer | undefined> {
    return isObjectId(id) ? this.#host.readBlob(project, id) : undefined
  }

  async history(
    project: Repository,
    { sha, path, since, until }: HistoryFilter,
    { limit, offset }: { limit: number; offset: number },
  ): Promise<string[]> {
    const file = path === undefined ? undefined : cleanPath(path)
    const text = await this.#text(project, [
      '--literal-pathspecs',
      'rev-list',
      `--max-count=${limit}`,
      `--skip=${offset}`,
      ...(since === undefined ? [] : [`--since=${new Date(since).toISOString()}`]),
      ...(until === undefined ? [] : [`--until=${new Date(until).toISOString()}`]),
      ...(sha === undefined ? ['--branches', '--tags'] : [sha]),
      ...(file ? ['--', file] : []),
    ])
    return lines(text)
  }

  async diff(project: Repository, from: string | undefined, to: string): Promise<DiffEntry[]> {
    const trees = await this.#trees(project, from, to)
    if (trees[0] === trees[1]) return []
    const raw = await this.#text(project, ['diff-tree', '-r', '-M', '--raw', '-z', ...trees])
    const changes = rawChanges(raw)
    const options = ['-r', '-M', '-p', '--no-color', '--no-ext-diff', '--full-index']
    const patch = await this.#tryText(project, ['diff-tree', ...options, ...trees], largestDiffBytes)
    const hunks = patch === undefined ? [] : patch.split(/^diff --git .*\n/m).slice(1)
    return changes.map((change, i) => ({ ...change, diff: hunksOf(hunks[i] ?? '') }))
  }

  async lineCounts(project: Repository, sha: string): Promise<{ additions: number; deletions: number }> {
    const trees = await this.#trees(project, undefined, sha)
    const said = await this.#text(project, ['diff-tree', '-r', '-M', '--shortstat', ...trees])
    const count = (what: RegExp) => Number(what.exec(said)?.[1] ?? 0)
    return { additions: count(/(\d+) insertion/), deletions: count(/(\d+) deletion/) }
  }

  /** The trees before and after; `from` undefined: of the first parent of `to`. */
  async #trees(project: Repository, from: string | undefined, to: string): Promise<[string, string]> {
    const after = await this.#host.getCommit(project, to)
    const base = from ?? after.parents[0]
    return [base === undefined ? emptyTree : (await this.#host.getCommit(project, base)).tree, after.tree]
  }

  async commitsBetween(project: Repository, from: string, to: string, limit: number): Promise<string[]> {
    for (const sha of [from, to]) await this.#host.getCommit(project, sha)
    return lines(await this.#text(project, ['rev-list', `--max-count=${limit}`, to, `^${from}`]))
  }

  async mergeBase(project: Repository, one: string, other: string): Promise<string | undefined> {
    for (const sha of [one, other]) await this.#host.getCommit(project, sha)
    return (await this.#tryText(project, ['merge-base', one, other]))?.trim() || undefined
  }

  async #text(project: Repository, args: readonly string[], maxBytes = largestListBytes): Promise<string> {
    return (await this.#host.git(project, args, maxBytes)).toString('utf8')
  }

  /** Undefined where git says that there is no such thing, or has too much to say. */
  async #tryText(project: Repository, args: readonly string[], maxBytes?: number): Promise<string | undefined> {
    try {
      return await this.#text(project, args, maxBytes)
    } catch (error) {
      if (error instanceof SignalboxError && error.code === 'unavailable' && endedByItself(error.cause))
        return undefined
      throw error
    }
  }
}

function endedByItself(cause: unknown): boolean {
  const { code } = (cause ?? {}) as { code?: unknown }
  return typeof code === 'number' || code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER'
}

/** The path without slashes at its ends; undefined for one that leads elsewhere or cannot be in a tree. */
function cleanPath(path: string): string | undefined {
  const clean = path.replace(/^\/+|\/+$/g, '')
  if (clean.includes('\0') || clean.split('/').some((part) => part === '..' || part === '.')) return undefined
  return clean
}

/** `MODE TYPE ID\tPATH`, each with a NUL behind it. */
function entriesOf(text: string, folder: string): TreeEntry[] {
  return text
    .split('\0')
    .slice(0, -1)
    .flatMap((line) => {
      const [, mode, type, id, path] = /^(\d+) (tree|blob|commit) ([0-9a-f]+)\t(.*)$/s.exec(line) ?? []
      if (path === undefined) return []
      const name = path.slice(path.lastIndexOf('/') + 1)
      return [
        { id: id!, name, type: type as TreeEntry['type'], path: folder ? `${folder}/${path}` : path, mode: mode! },
      ]
    })
}

/** Where there is no file. */
const noMode = '000000'

/** `:OLDMODE NEWMODE OLDID NEWID STATUS`, then one path, or two for a renamed file: git-diff-tree, raw output. */
function rawChanges(text: string): Omit<DiffEntry, 'diff'>[] {
  const parts = text.split('\0').slice(0, -1)
  const changes: Omit<DiffEntry, 'diff'>[] = []
  for (let i = 0; i < parts.length; ) {
    const [oldMode = '', newMode = '', , , letter = ''] = parts[i]!.slice(1).split(' ')
    const oldPath = parts[i + 1] ?? ''
    // A file that becomes a link or a submodule: git shows it in two parts, one goes and another comes.
    if (letter === 'T') {
      const common = { oldPath, newPath: oldPath }
      changes.push({ ...common, oldMode, newMode: noMode, status: 'deleted' })
      changes.push({ ...common, oldMode: noMode, newMode, status: 'added' })
      i += 2
      continue
    }
    const moved = letter.startsWith('R') || letter.startsWith('C')
    const newPath = moved ? (parts[i + 2] ?? '') : oldPath
    const status = moved ? 'renamed' : letter === 'A' ? 'added' : letter === 'D' ? 'deleted' : 'modified'
    changes.push({ oldPath, newPath, oldMode, newMode, status })
    i += moved ? 3 : 2
  }
  return changes
}

function hunksOf(patch: string): string {
  const start = patch.search(/^@@ /m)
  return start < 0 ? '' : patch.slice(start)
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}
