/**
 * The hosted repositories: bare ones in one folder, named by the project's id, so that no name that a user gives ever
 * becomes a path. What the core asks again and again is answered without git: refs from their files, and everything
 * that an object id names from memory.
 */
import fs from 'node:fs'
import path from 'node:path'
import { BoundedCache } from '../core/bounded-cache.js'
import { type Clock, SystemClock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import type { Log } from '../core/log.js'
import type { RemoteSource } from '../core/mirror.js'
import type { CommitInfo, Project, Repositories, ResolvedRef } from '../core/project.js'
import { GitBrowser } from './browser.js'
import { gitEnvironment, runGit, settingsText } from './git-process.js'
import type { ParsedCommit } from './object-formats.js'
import { isRepository, ObjectStore } from './object-store.js'
import { Pins } from './pins.js'
import { branchOrTag, isObjectId, isRefName } from './ref-name.js'
import { RefReader } from './refs.js'
import { defaultRemoteLimits, fetchRemote, type RemoteLimits, remoteHead } from './remote-fetch.js'
import { Slots } from './slots.js'

export interface GitRepositoriesOptions {
  /** Where the repositories are; made if it is not there. */
  folder: string
  log: Log
  /** What idle processes are measured by; default: the system's. */
  clock?: Clock
  /** `git cat-file` processes at once; default 16. */
  readers?: number
  /** Milliseconds after which one that is not asked ends; default 60,000. */
  readerIdleMs?: number
  /** What a fetch from a remote repository may do and take. */
  remotes?: RemoteLimits
  /** Largest file that `readFile` gives, in bytes; default 8 MiB. */
  fileLimitBytes?: number
}

const mebibyte = 1024 * 1024
/** What a list of paths may come to: some half a million of them. */
const largestListBytes = 32 * mebibyte

/** Who the commits of merged results are by. */
const mergeAuthor = {
  GIT_AUTHOR_NAME: 'Signalbox',
  GIT_AUTHOR_EMAIL: 'signalbox@localhost',
  GIT_COMMITTER_NAME: 'Signalbox',
  GIT_COMMITTER_EMAIL: 'signalbox@localhost',
}

type Repository = Pick<Project, 'id' | 'defaultBranch'>

export class GitRepositories implements Repositories {
  readonly folder: string
  /** An empty folder, for git processes. */
  readonly home: string
  readonly #env: NodeJS.ProcessEnv
  readonly #refs = new RefReader()
  readonly #objects: ObjectStore
  readonly #pins: Pins
  /** Git processes that list something, at once. */
  readonly #runs: Slots
  readonly browser = new GitBrowser({
    git: (project, args, maxBytes) => this.#git(project, args, maxBytes),
    getCommit: (project, sha) => this.#getCommit(project, sha),
    resolve: (project, ref) => this.resolve(project, ref),
    readBlob: (project, id) => this.#objects.readBlob(this.pathOf(project.id), id),
  })
  /** Fetches from remote repositories, at once. */
  readonly #remoteRuns: Slots
  readonly #remotes: RemoteLimits
  /** By project: the fetch that is under way, and the one after it. */
  readonly #fetches = new Map<
    number,
    { running: Promise<unknown>; next: Promise<{ head: string | undefined }> | undefined }
  >()
  readonly #lists = new BoundedCache<string[]>(64 * mebibyte)

  constructor(options: GitRepositoriesOptions) {
    this.folder = path.resolve(options.folder)
    this.home = path.join(this.folder, '.home')
    fs.mkdirSync(this.home, { recursive: true })
    this.#env = gitEnvironment(this.home)
    const clock = options.clock ?? new SystemClock()
    this.#runs = new Slots({ clock, atOnce: 4, queue: 1000, waitMs: 60_000 })
    this.#remoteRuns = new Slots({ clock, atOnce: 4, queue: 1000, waitMs: 60_000 })
    this.#remotes = options.remotes ?? defaultRemoteLimits
    this.#objects = new ObjectStore({
      env: this.#env,
      clock,
      readers: options.readers ?? 16,
      readerIdleMs: options.readerIdleMs ?? 60_000,
      fileLimitBytes: options.fileLimitBytes ?? 8 * mebibyte,
    })
    this.#pins = new Pins({
      log: options.log,
      deletePacked: async (repository, ref) => {
        if (this.#refs.readPacked(repository, ref) === undefined) return
        await runGit([`--git-dir=${repository}`, 'update-ref', '-d', ref], { env: this.#env })
      },
    })
  }

  /** The folder of a project's repository. */
  pathOf(projectId: number): string {
    if (!Number.isSafeInteger(projectId) || projectId < 1) throw new Error(`${projectId} is not the id of a project`)
    return path.join(this.folder, `${projectId}.git`)
  }

  exists(projectId: number): boolean {
    return isRepository(this.pathOf(projectId))
  }

  /** Makes an empty repository: complete or not at all, whatever happens meanwhile. Safe to repeat. */
  async create(project: Repository): Promise<void> {
    if (this.exists(project.id)) return
    const place = this.pathOf(project.id)
    const made = await fs.promises.mkdtemp(`${place}.new-`)
    try {
      const branch = `refs/heads/${project.defaultBranch}`
      await runGit(['init', '--quiet', '--bare', '--template=', '--initial-branch=main', made], { env: this.#env })
      if (isRefName(branch)) await fs.promises.writeFile(path.join(made, 'HEAD'), `ref: ${branch}\n`)
      await fs.promises.appendFile(path.join(made, 'config'), settingsText())
      await fs.promises.mkdir(path.join(made, 'refs', 'pipelines'))
      await fs.promises.rename(made, place)
    } catch (error) {
      await fs.promises.rm(made, { recursive: true, force: true })
      // Somebody else was first.
      if (this.exists(project.id)) return
      // Most often a full disk; the next one who needs the repository makes it.
      throw new SignalboxError('unavailable', 'the repository cannot be made', { cause: error })
    }
  }

  /** Those who ask while a fetch is under way share the one that starts after it: it sees what they know of. */
  async fetch(project: Project, source: RemoteSource): Promise<{ head: string | undefined }> {
    await this.create(project)
    const known = this.#fetches.get(project.id)
    if (!known) return this.#startFetch(project, source)
    known.next ??= known.running.catch(() => undefined).then(() => this.#startFetch(project, source))
    return known.next
  }

  #startFetch(project: Project, source: RemoteSource): Promise<{ head: string | undefined }> {
    const running = this.#fetch(project, source)
    const entry = { running, next: undefined }
    this.#fetches.set(project.id, entry)
    const forget = () => {
      if (this.#fetches.get(project.id) === entry && entry.next === undefined) this.#fetches.delete(project.id)
    }
    running.then(forget, forget)
    return running
  }

  async #fetch(project: Project, source: RemoteSource): Promise<{ head: string | undefined }> {
    const free = await this.#remoteRuns.take()
    try {
      const place = { repository: this.pathOf(project.id), home: this.home }
      await fetchRemote(place, source, this.#remotes)
      if (this.readRef(project, `refs/heads/${project.defaultBranch}`) !== undefined) return { head: undefined }
      const head = await remoteHead(place, source, this.#remotes)
      return {
        head: head !== undefined && this.readRef(project, `refs/heads/${head}`) !== undefined ? head : undefined,
      }
    } finally {
      free()
    }
  }

  /** Deletes the repository, if it is there. Fetches under way fail. */
  async remove(projectId: number): Promise<void> {
    const place = this.pathOf(projectId)
    await this.#pins.settled(place)
    await this.#objects.release(place)
    await fs.promises.rm(place, { recursive: true, force: true })
  }

  /** Lets HEAD, which a clone checks out, name the project's default branch. */
  syncHead(project: Repository): void {
    const branch = `refs/heads/${project.defaultBranch}`
    const file = path.join(this.pathOf(project.id), 'HEAD')
    if (!isRefName(branch) || fs.readFileSync(file, 'utf8') === `ref: ${branch}\n`) return
    fs.writeFileSync(`${file}.lock`, `ref: ${branch}\n`)
    fs.renameSync(`${file}.lock`, file)
  }

  /**
   * A branch or tag by its short name or in full (`refs/heads/x`, `refs/tags/x`), `HEAD` for the default branch, or a
   * full commit id; undefined if there is none. What looks like a type is one: `refs/heads/x` is never the tag of that
   * name, and 40 hex digits are never a branch (GitLab CVE-2023-3917). Rejects with `invalid` for a short name that is
   * a branch and a tag at once, as GitLab does when it makes a pipeline.
   */
  async resolve(project: Repository, ref: string): Promise<ResolvedRef | undefined> {
    const resolved = await this.#resolve(project, ref === 'HEAD' ? `refs/heads/${project.defaultBranch}` : ref)
    if (!resolved) this.#mustExist(project)
    return resolved
  }

  async #resolve(project: Repository, ref: string): Promise<ResolvedRef | undefined> {
    if (isObjectId(ref.toLowerCase())) {
      const sha = ref.toLowerCase()
      return (await this.#findCommit(project, sha)) && { name: sha, tag: false, sha }
    }
    if (ref.startsWith('refs/')) return this.#resolveFull(project, ref)
    const branch = this.readRef(project, `refs/heads/${ref}`)
    const tag = this.readRef(project, `refs/tags/${ref}`)
    if (branch !== undefined && tag !== undefined) {
      throw new SignalboxError('invalid', 'Ref is ambiguous', { details: { errors: ['Ref is ambiguous'] } })
    }
    if (branch !== undefined) return { name: ref, tag: false, sha: branch }
    return tag === undefined ? undefined : this.#resolveFull(project, `refs/tags/${ref}`)
  }

  async #resolveFull(project: Repository, ref: string): Promise<ResolvedRef | undefined> {
    const kind = branchOrTag(ref)
    const id = kind && this.readRef(project, ref)
    const sha = kind?.tag && id !== undefined ? await this.peel(project, id) : id
    return kind && sha !== undefined ? { ...kind, sha } : undefined
  }

  /** The object that a full ref points to right now. */
  readRef(project: Repository, ref: string): string | undefined {
    return isRefName(ref) ? this.#refs.read(this.pathOf(project.id), ref) : undefined
  }

  /** The full names of all branches, by asking git. */
  async listBranches(project: Repository): Promise<string[]> {
    return this.#lines(project, ['for-each-ref', '--format=%(refname)%00', 'refs/heads'], '\0\n')
  }

  /** The commit that an object id names, or that the annotated tag of this id points to; undefined if there is none. */
  async peel(project: Repository, id: string): Promise<string | undefined> {
    return this.#objects.peel(this.pathOf(project.id), id)
  }

  /** What an annotated tag says; empty for other tags. */
  async tagMessage(project: Repository, name: string): Promise<string> {
    const id = this.readRef(project, `refs/tags/${name}`)
    return id === undefined ? '' : this.#objects.tagMessage(this.pathOf(project.id), id)
  }

  /** Rejects with `not_found` if there is no such commit. */
  async commit(project: Repository, sha: string): Promise<CommitInfo> {
    return (await this.#getCommit(project, sha)).info
  }

  /**
   * A regular file's text at a commit; undefined for a path that is not there, is no regular file, or is reached through
   * a symbolic link. Rejects with `not_found` for the commit, `too_large` for the file.
   */
  async readFile(project: Repository, sha: string, file: string): Promise<string | undefined> {
    return this.#objects.readFile(this.pathOf(project.id), await this.#getCommit(project, sha), file)
  }

  /** Every path at a commit, in git's order. Rejects with `not_found` for the commit, `unavailable` when there are too many. */
  async listFiles(project: Repository, sha: string): Promise<string[]> {
    const { tree } = await this.#getCommit(project, sha)
    return this.#list(project, ['ls-tree', '-r', '-z', '--name-only', '--full-tree', tree])
  }

  /** Every file at a commit with its content's id. Rejects as `listFiles` does. */
  async listBlobs(project: Repository, sha: string): Promise<{ path: string; id: string }[]> {
    const { tree } = await this.#getCommit(project, sha)
    const entries = await this.#list(project, ['ls-tree', '-r', '-z', '--full-tree', tree])
    return entries.flatMap((entry) => {
      const [, id, path] = /^\d+ blob (\w+)\t(.*)$/s.exec(entry) ?? []
      return id === undefined || path === undefined ? [] : [{ path, id }]
    })
  }

  /**
   * The last commit up to this one that changed a path (`*` and `**` match as in git's globs); undefined if none has.
   * Rejects with `not_found` for the commit.
   */
  async lastCommit(project: Repository, sha: string, file: string): Promise<string | undefined> {
    await this.#getCommit(project, sha)
    if (file === '' || file.includes('\0')) return undefined
    return (await this.#list(project, ['rev-list', '--max-count=1', sha, '--', `:(top,glob)${file}`], '\n'))[0]
  }

  /**
   * Paths that differ between two commits; of a renamed file both names. Rejects with `not_found` for a commit,
   * `unavailable` when there are too many.
   */
  async changedPaths(project: Repository, from: string, to: string): Promise<string[]> {
    const [before, after] = [await this.#getCommit(project, from), await this.#getCommit(project, to)]
    if (before.tree === after.tree) return []
    return this.#list(project, ['diff-tree', '-r', '-z', '--name-only', '--no-renames', before.tree, after.tree])
  }

  /** The same, but against the commit at which the two parted; of two that have nothing in common all that differs. */
  async changedSince(project: Repository, other: string, sha: string): Promise<string[]> {
    for (const commit of [other, sha]) await this.#getCommit(project, commit)
    return this.changedPaths(project, (await this.mergeBase(project, other, sha)) ?? other, sha)
  }

  /** Neither the work of a person nor of a branch: made with the time of whoever asks, so that it comes out the same again. */
  async merge(
    project: Repository,
    { target, source, message, at }: { target: string; source: string; message: string; at: number },
  ): Promise<string | undefined> {
    for (const commit of [target, source]) await this.#getCommit(project, commit)
    const place = `--git-dir=${this.pathOf(project.id)}`
    const date = `${Math.floor(at / 1000)} +0000`
    const env = { ...this.#env, ...mergeAuthor, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date }
    const free = await this.#runs.take()
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
    if (this.readRef(project, ref) !== from) return false
    const free = await this.#runs.take()
    try {
      await runGit([`--git-dir=${this.pathOf(project.id)}`, 'update-ref', ref, to, from], { env: this.#env })
      return true
    } catch (error) {
      if (this.readRef(project, ref) !== from) return false
      throw new SignalboxError('unavailable', 'git cannot move the branch', { cause: error })
    } finally {
      free()
    }
  }

  /** Git's own lock decides between this and a push. Rejects with `unavailable` when git fails at it. */
  async createTag(
    project: Repository,
    {
      name,
      sha,
      message,
      by,
      at,
    }: {
      name: string
      sha: string
      message: string | undefined
      by: { name: string; email: string } | null
      at: number
    },
  ): Promise<'made' | 'exists' | 'invalid' | 'blocked'> {
    const ref = `refs/tags/${name}`
    if (!isRefName(ref)) return 'invalid'
    if (this.readRef(project, ref) !== undefined) return 'exists'
    const words = message === undefined ? [] : ['-a', '--no-sign', '--cleanup=verbatim', '-m', message]
    const env = {
      ...this.#env,
      GIT_COMMITTER_NAME: by?.name || mergeAuthor.GIT_COMMITTER_NAME,
      GIT_COMMITTER_EMAIL: by?.email || mergeAuthor.GIT_COMMITTER_EMAIL,
      GIT_COMMITTER_DATE: `${Math.floor(at / 1000)} +0000`,
    }
    const free = await this.#runs.take()
    try {
      await runGit([`--git-dir=${this.pathOf(project.id)}`, 'tag', ...words, '--', name, sha], { env })
      return 'made'
    } catch (error) {
      if (this.readRef(project, ref) !== undefined) return 'exists'
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
    if (above.some((name) => this.readRef(project, name) !== undefined)) return true
    return (await this.#list(project, ['for-each-ref', '--count=1', `${ref}/`], '\n')).length > 0
  }

  async mergeBase(project: Repository, one: string, other: string): Promise<string | undefined> {
    try {
      return (await this.#list(project, ['merge-base', one, other], '\n'))[0]
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as { code?: unknown }
      if (code === 1) return undefined
      throw error
    }
  }

  /** The short names of all tags, by asking git. */
  async listTags(project: Repository): Promise<string[]> {
    return this.#lines(project, ['for-each-ref', '--format=%(refname:lstrip=2)%00', 'refs/tags'], '\0\n')
  }

  async #list(project: Repository, args: readonly string[], end = '\0'): Promise<string[]> {
    const key = `${project.id} ${args.join(' ')}`
    const known = this.#lists.get(key)
    if (known) return known
    const list = await this.#lines(project, args, end)
    const weight = list.reduce((sum, one) => sum + one.length * 2 + 32, key.length)
    return this.#lists.set(key, list, weight)
  }

  /** What git lists, each entry with `end` behind it. */
  async #lines(project: Repository, args: readonly string[], end: string): Promise<string[]> {
    const output = await this.#git(project, args, largestListBytes)
    return output.toString('utf8').split(end).slice(0, -1)
  }

  async #git(project: Repository, args: readonly string[], maxBytes: number): Promise<Buffer> {
    this.#mustExist(project)
    let free: (() => void) | undefined
    try {
      free = await this.#runs.take()
      return await runGit([`--git-dir=${this.pathOf(project.id)}`, ...args], { env: this.#env, maxBytes })
    } catch (error) {
      throw new SignalboxError('unavailable', `git cannot list this: ${args.find((one) => !one.startsWith('-'))}`, {
        cause: error,
      })
    } finally {
      free?.()
    }
  }

  pin(project: Repository, pipelineId: number, sha: string): void {
    if (!isObjectId(sha)) throw new Error(`${sha} is not an object id`)
    this.#pins.want(this.pathOf(project.id), pipelineId, sha)
  }

  unpin(project: Pick<Project, 'id'>, pipelineId: number): void {
    this.#pins.want(this.pathOf(project.id), pipelineId, null)
  }

  /** Resolves when every pin and unpin of the project asked for so far has been carried out. */
  async pinsSettled(projectId: number): Promise<void> {
    await this.#pins.settled(this.pathOf(projectId))
  }

  /** How many `git cat-file` are open. */
  get processes(): number {
    return this.#objects.processes
  }

  /** Ends every git process and waits for pins under way. Safe to repeat. */
  async close(): Promise<void> {
    await Promise.all([this.#objects.close(), this.#pins.close()])
  }

  async #getCommit(project: Repository, sha: string): Promise<ParsedCommit> {
    const commit = await this.#findCommit(project, sha)
    if (!commit) throw new SignalboxError('not_found', `no commit ${sha}`)
    return commit
  }

  #findCommit(project: Repository, sha: string): Promise<ParsedCommit | undefined> {
    return this.#objects.findCommit(this.pathOf(project.id), sha)
  }

  /** Throws `not_found` if there is no repository. */
  #mustExist(project: Repository): void {
    if (!this.exists(project.id)) throw new SignalboxError('not_found', `project ${project.id} has no repository`)
  }
}
