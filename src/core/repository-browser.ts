/** Hosted repositories as people and scripts look at them: refs, trees, files, history. The git room implements it. */
import type { CommitInfo, Project } from './project.js'

/** A branch or tag. */
export interface RefEntry {
  /** Short: `main`. */
  name: string
  /** The commit; undefined where a tag names something else. */
  sha: string | undefined
  /** What the ref itself points to: for an annotated tag another id than the commit's. */
  target: string
  /** Of an annotated tag; empty for others. */
  message: string
}

export interface CommitDetail extends CommitInfo {
  parents: readonly string[]
  committerName: string
  committerEmail: string
  /** ISO 8601. `timestamp` is the committer's. */
  authoredAt: string
}

export interface TreeEntry {
  id: string
  name: string
  type: 'tree' | 'blob' | 'commit'
  path: string
  /** `100644`, `040000` and the like. */
  mode: string
}

export interface FileContent {
  id: string
  mode: string
  bytes: Buffer
}

export interface DiffEntry {
  oldPath: string
  newPath: string
  oldMode: string
  newMode: string
  status: 'added' | 'deleted' | 'renamed' | 'modified'
  /** The hunks; empty for a binary file, and where the whole was too large. */
  diff: string
}

export interface HistoryFilter {
  /** Where it begins; undefined: every branch and tag. */
  sha?: string
  path?: string
  /** Milliseconds since 1970. */
  since?: number
  until?: number
}

type Repository = Pick<Project, 'id' | 'defaultBranch'>

/** Every method rejects with `not_found` for a repository or commit that is not there, `unavailable` when git fails. */
export interface RepositoryBrowser {
  listRefs(project: Repository, kind: 'branches' | 'tags'): Promise<RefEntry[]>
  /** The full id of a commit that a branch, a tag, or seven digits or more of its id name; undefined if there is none. */
  findCommit(project: Repository, revision: string): Promise<string | undefined>
  commit(project: Repository, sha: string): Promise<CommitDetail>
  /** What a folder holds, in git's order; undefined if there is no such folder. Empty path: the top. */
  listTree(
    project: Repository,
    sha: string,
    path: string,
    options: { recursive: boolean },
  ): Promise<TreeEntry[] | undefined>
  /** A file, symbolic links as their text; undefined if there is none. Rejects with `too_large`. */
  readFile(project: Repository, sha: string, path: string): Promise<FileContent | undefined>
  /** Bytes of a blob by its id; undefined if there is none. Rejects with `too_large`. */
  readBlob(project: Repository, id: string): Promise<Buffer | undefined>
  /** Ids of commits, newest first. */
  history(project: Repository, filter: HistoryFilter, page: { limit: number; offset: number }): Promise<string[]>
  /** What changed between two commits; `from` undefined: what the commit `to` holds that its first parent did not. */
  diff(project: Repository, from: string | undefined, to: string): Promise<DiffEntry[]>
  /** Lines that the commit adds to its first parent and takes from it; of files that are no text, none. */
  lineCounts(project: Repository, sha: string): Promise<{ additions: number; deletions: number }>
  /** Commits of `to` that `from` has not, newest first, at most `limit`. */
  commitsBetween(project: Repository, from: string, to: string, limit: number): Promise<string[]>
  /** Where the histories part; undefined if they have nothing in common. */
  mergeBase(project: Repository, one: string, other: string): Promise<string | undefined>
}
