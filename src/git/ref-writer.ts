/** What the coordinator itself writes into hosted repositories: merged results, moved branches, and tags. */
import { SignalboxError } from '../core/errors.js'
import type { Project } from '../core/project.js'
import { runGit } from './git-process.js'
import { isRefName } from './ref-name.js'

type Repository = Pick<Project, 'id' | 'defaultBranch'>

/** What the writer asks of the repositories. */
export interface WriterHost {
  env: NodeJS.ProcessEnv
  pathOf(projectId: number): string
  /** Waits for a place among the git processes. Returns what frees it. */
  takeSlot(): Promise<() => void>
  readRef(project: Repository, ref: string): string | undefined
  /** Rejects with `not_found` if there is no such commit. */
  mustHave(project: Repository, sha: string): Promise<unknown>
  list(project: Repository, args: readonly string[], end: string): Promise<string[]>
}

interface TagWish {
  name: string
  sha: string
  /** Undefined: the tag is not annotated. */
  message: string | undefined
  by: { name: string; email: string } | null
  /** Milliseconds since 1970. */
  at: number
}

/** Who the commits of merged results are by. */
const mergeAuthor = {
  GIT_AUTHOR_NAME: 'Signalbox',
  GIT_AUTHOR_EMAIL: 'signalbox@localhost',
  GIT_COMMITTER_NAME: 'Signalbox',
  GIT_COMMITTER_EMAIL: 'signalbox@localhost',
}

/** Writes refs under git's own locks, so that a push and this never overwrite each other. */
export class RefWriter {
  readonly #host: WriterHost

  constructor(host: WriterHost) {
    this.#host = host
  }

  /** Neither the work of a person nor of a branch: made with the time of whoever asks, so that it comes out the same again. */
  async merge(
    project: Repository,
    { target, source, message, at }: { target: string; source: string; message: string; at: number },
  ): Promise<string | undefined> {
    for (const commit of [target, source]) await this.#host.mustHave(project, commit)
    const place = `--git-dir=${this.#host.pathOf(project.id)}`
    const date = `${Math.floor(at / 1000)} +0000`
    const env = { ...this.#host.env, ...mergeAuthor, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date }
    const free = await this.#host.takeSlot()
    try {
      const made = await runGit([place, 'merge-tree', '--write-tree', '--no-messages', target, source], { env })
      const tree = made.toString('utf8').trim()
      const parents = ['-p', target, '-p', source]
      const commit = await runGit([place, 'commit-tree', ...parents, '-m', message, tree], { env })
      return commit.toString('utf8').trim()
    } catch (error) {
      if ((error as { code?: unknown }).code === 1) return undefined
      throw new SignalboxError('unavailable', 'git cannot merge this', { cause: error })
    } finally {
      free()
    }
  }

  /** Git's own lock decides between this and a push. Rejects with `unavailable` when git fails at it. */
  async moveBranch(project: Repository, branch: string, { from, to }: { from: string; to: string }): Promise<boolean> {
    const ref = `refs/heads/${branch}`
    if (this.#host.readRef(project, ref) !== from) return false
    const free = await this.#host.takeSlot()
    try {
      await runGit([`--git-dir=${this.#host.pathOf(project.id)}`, 'update-ref', ref, to, from], { env: this.#host.env })
      return true
    } catch (error) {
      if (this.#host.readRef(project, ref) !== from) return false
      throw new SignalboxError('unavailable', 'git cannot move the branch', { cause: error })
    } finally {
      free()
    }
  }

  /** Git's own lock decides between this and a push. Rejects with `unavailable` when git fails at it. */
  async createTag(
    project: Repository,
    { name, sha, message, by, at }: TagWish,
  ): Promise<'made' | 'exists' | 'invalid' | 'blocked'> {
    const ref = `refs/tags/${name}`
    if (!isRefName(ref)) return 'invalid'
    if (this.#host.readRef(project, ref) !== undefined) return 'exists'
    const words = message === undefined ? [] : ['-a', '--no-sign', '--cleanup=verbatim', '-m', message]
    const env = {
      ...this.#host.env,
      GIT_COMMITTER_NAME: by?.name || mergeAuthor.GIT_COMMITTER_NAME,
      GIT_COMMITTER_EMAIL: by?.email || mergeAuthor.GIT_COMMITTER_EMAIL,
      GIT_COMMITTER_DATE: `${Math.floor(at / 1000)} +0000`,
    }
    const free = await this.#host.takeSlot()
    try {
      await runGit([`--git-dir=${this.#host.pathOf(project.id)}`, 'tag', ...words, '--', name, sha], { env })
      return 'made'
    } catch (error) {
      if (this.#host.readRef(project, ref) !== undefined) return 'exists'
      if (await this.#isBlocked(project, ref)) return 'blocked'
      throw new SignalboxError('unavailable', 'git cannot make the tag', { cause: error })
    } finally {
      free()
    }
  }

  /** Whether a ref cannot be, as another one lies above or below it: `v1` and `v1/x`. */
  async #isBlocked(project: Repository, ref: string): Promise<boolean> {
    const parts = ref.split('/')
    const above = parts.map((_, index) => parts.slice(0, index).join('/')).slice(3)
    if (above.some((name) => this.#host.readRef(project, name) !== undefined)) return true
    return (await this.#host.list(project, ['for-each-ref', '--count=1', `${ref}/`], '\n')).length > 0
  }
}
