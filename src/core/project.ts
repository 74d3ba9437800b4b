/** Projects, and what the core needs to know of their repositories. */
import type { RemoteSource } from './mirror.js'
import type { RepositoryBrowser } from './repository-browser.js'

export interface Project {
  id: number
  groupId: number
  path: string
  fullPath: string
  name: string
  description: string
  visibility: 'private' | 'internal' | 'public'
  defaultBranch: string
  /** Which branches and tags are protected, as JSON (`protection.ts`); null: the default branch. */
  protections: string | null
  configPath: string
  timeoutS: number
  buildsEnabled: number
  instanceRunnersEnabled: number
  groupRunnersEnabled: number
  /** A newer pipeline of a ref cancels what it makes redundant. */
  autoCancel: number
  /** A deployment older than the environment's last one is refused. */
  forwardDeployment: number
  /** Pipelines made longer ago than this are deleted, in seconds; null: as the instance has it. */
  deletePipelinesS: number | null
  /** The newest successful pipeline of each ref is not. */
  keepLatest: number
  /** Jobs of other projects may use their token here only if they are on the allowlist. */
  jobTokenScope: number
  cacheIndex: number
  /** It mirrors a remote repository: nobody pushes to it. */
  mirrored: number
  /** Merge request pipelines run what merging would give. */
  mergedResults: number
  /** Other projects run when its tags have succeeded. */
  followed: number
  /** Number of its newest merge request; 0: it has had none. */
  lastRequestIid: number
  createdAt: number
  updatedAt: number
}

export interface Group {
  id: number
  parentId: number | null
  path: string
  fullPath: string
  name: string
  kind: 'group' | 'user'
  ownerId: number | null
  description: string
  visibility: Project['visibility']
  createdAt: number
}

export interface CommitInfo {
  sha: string
  /** `Name <mail>`. */
  author: string
  authorName: string
  authorEmail: string
  /** ISO 8601. */
  timestamp: string
  message: string
}

/** A branch or tag and what it points to. Names are short: `main`, `v1`. */
export interface ResolvedRef {
  name: string
  tag: boolean
  sha: string
}

/**
 * The repositories as the core sees them; the git room implements it. Every method rejects with `not_found` when the
 * repository does not exist.
 */
export interface Repositories {
  readonly browser: RepositoryBrowser
  /** Makes an empty repository. Safe to repeat. */
  create(project: Project): Promise<void>
  /** Deletes the repository of a project, if it is there. Fetches under way fail. */
  remove(projectId: number): Promise<void>
  /**
   * Brings branches and tags up to date with a remote repository. `head`: the remote's default branch, asked for where the
   * project's own is not there. Rejects with `unavailable` and the reason in words.
   */
  fetch(project: Project, source: RemoteSource): Promise<{ head: string | undefined }>
  /** Fetches one ref of a remote repository under another name. Rejects as `fetch`. */
  fetchRef(project: Project, source: RemoteSource, ref: { from: string; to: string }): Promise<void>
  /** A branch, a tag or a full commit id; undefined if there is none of that name. */
  resolve(project: Project, ref: string): Promise<ResolvedRef | undefined>
  /** A regular file's text at a commit; undefined if there is none. Symbolic links are not followed. */
  readFile(project: Project, sha: string, path: string): Promise<string | undefined>
  /** Every path at a commit. */
  listFiles(project: Project, sha: string): Promise<string[]>
  /** Every file at a commit, with the id of its content. */
  listBlobs(project: Project, sha: string): Promise<{ path: string; id: string }[]>
  /** The last commit up to this one that changed a path, or what a pattern with `*` matches; undefined if there is none. */
  lastCommit(project: Project, sha: string, path: string): Promise<string | undefined>
  /** Paths that differ between two commits. */
  changedPaths(project: Project, from: string, to: string): Promise<string[]>
  /** Paths that a commit changed since it parted from another: what a merge request of it would show. */
  changedSince(project: Project, other: string, sha: string): Promise<string[]>
  /** The commit at which two parted; undefined: they have nothing in common. */
  mergeBase(project: Project, one: string, other: string): Promise<string | undefined>
  /**
   * Makes the commit that merging `source` into `target` gives, which no ref names; undefined: they conflict. The same for
   * the same arguments.
   */
  merge(
    project: Project,
    of: { target: string; source: string; message: string; at: number },
  ): Promise<string | undefined>
  /** Lets a branch point to another commit, if it still points to `from`. Returns whether it has. */
  moveBranch(project: Project, branch: string, of: { from: string; to: string }): Promise<boolean>
  /**
   * Makes a tag; with a message an annotated one, by this user. Returns `exists` where there is one of the name, `blocked`
   * where another one stands above or below it, `invalid`
   * for a name that git does not take.
   */
  createTag(
    project: Project,
    of: {
      name: string
      sha: string
      message: string | undefined
      by: { name: string; email: string } | null
      at: number
    },
  ): Promise<'made' | 'exists' | 'invalid' | 'blocked'>
  /** Short names of all tags. */
  listTags(project: Project): Promise<string[]>
  /** What an annotated tag says; empty for other tags. */
  tagMessage(project: Project, name: string): Promise<string>
  commit(project: Project, sha: string): Promise<CommitInfo>
  /**
   * Keeps a pipeline's commit fetchable under `refs/pipelines/ID`. Fetches wait for pins under way. `isNew`: the pipeline
   * has just been made; one that is over before anybody fetches it needs no ref then.
   */
  pin(project: Project, pipelineId: number, sha: string, isNew?: boolean): void
  unpin(project: Pick<Project, 'id'>, pipelineId: number): void
  /** Resolves when every pin and unpin of the project asked for so far has been carried out. */
  pinsSettled(projectId: number): Promise<void>
}

const segment = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/
const longestPath = 255

/** Whether a text can be the path of a group or project: letters, digits, `_`, `-` and `.`, not ending in `.git` or `.atom`. */
export function isPathSegment(path: string): boolean {
  return segment.test(path) && path.length <= longestPath && !/(\.git|\.atom|\.)$/.test(path)
}

/** What `isPathSegment` asks for, in GitLab's words. */
export const pathRules =
  "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-' or end in '.', '.git' or '.atom'"
