/**
 * The hosted repositories: bare ones in one folder, named by the project's id, so that no name that a user gives ever
 * becomes a path. What the core asks again and again is answered without git: refs from their files, and everything
 * that an object id names from memory.
 */
import fs from 'node:fs'
import path from 'node:path'
import { type Clock, SystemClock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import type { Log } from '../core/log.js'
import type { RemoteSource } from '../core/mirror.js'
import type { CommitInfo, Project, Repositories, ResolvedRef } from '../core/project.js'
import { GitBrowser } from './browser.js'
import { GitLists } from './git-lists.js'
import { gitEnvironment, runGit, settingsText } from './git-process.js'
import type { ParsedCommit } from './object-formats.js'
import { isRepository, ObjectStore } from './object-store.js'
import { Pins } from './pins.js'
import { branchOrTag, isObjectId, isRefName } from './ref-name.js'
import { RefWriter } from './ref-writer.js'
import { RefReader } from './refs.js'
import { defaultRemoteLimits, type RemoteLimits } from './remote-fetch.js'
import { RemoteFetches } from './remote-fetches.js'

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

type Repository = Pick<Project, 'id' | 'defaultBranch'>

export class GitRepositories implements Repositories {
  readonly folder: string
  /** An empty folder, for git processes. */
  readonly home: string
  readonly #env: NodeJS.ProcessEnv
  readonly #refs = new RefReader()
  readonly #objects: ObjectStore
  readonly #pins: Pins
  readonly #git: GitLists
  readonly #fetches: RemoteFetches
  readonly #writer: RefWriter
  readonly browser = new GitBrowser({
    git: (project, args, maxBytes) => this.#git.run(project, args, maxBytes),
    getCommit: (project, sha) => this.#getCommit(project, sha),
    resolve: (project, ref) => this.resolve(project, ref),
    readBlob: (project, id) => this.#objects.readBlob(this.pathOf(project.id), id),
  })
  constructor(options: GitRepositoriesOptions) {
    this.folder = path.resolve(options.folder)
    this.home = path.join(this.folder, '.home')
    fs.mkdirSync(this.home, { recursive: true })
    this.#env = gitEnvironment(this.home)
    const clock = options.clock ?? new SystemClock()
    const pathOf = (projectId: number) => this.pathOf(projectId)
    const readRef = (project: Repository, ref: string) => this.readRef(project, ref)
    this.#git = new GitLists({ env: this.#env, clock, pathOf })
    this.#fetches = new RemoteFetches({
      home: this.home,
      limits: options.remotes ?? defaultRemoteLimits,
      clock,
      pathOf,
      readRef,
    })
    this.#writer = new RefWriter({
      env: this.#env,
      pathOf,
      takeSlot: () => this.#git.takeSlot(),
      readRef,
      mustHave: (project, sha) => this.#getCommit(project, sha),
      list: (project, args, end) => this.#git.kept(project, args, end),
    })
    this.#objects = new ObjectStore({
      env: this.#env,
      clock,
      readers: options.readers ?? 16,
      readerIdleMs: options.readerIdleMs ?? 60_000,
      fileLimitBytes: options.fileLimitBytes ?? 8 * mebibyte,
    })
    this.#pins = new Pins({
      clock,
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

  async fetch(project: Project, source: RemoteSource): Promise<{ head: string | undefined }> {
    await this.create(project)
    return this.#fetches.fetch(project, source)
  }

  async fetchRef(project: Project, source: RemoteSource, ref: { from: string; to: string }): Promise<void> {
    await this.create(project)
    return this.#fetches.fetchRef(project, source, ref)
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
    if (!resolved) this.#git.mustExist(project)
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
    return this.#git.lines(project, ['for-each-ref', '--format=%(refname)%00', 'refs/heads'], '\0\n')
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
    return this.#git.kept(project, ['ls-tree', '-r', '-z', '--name-only', '--full-tree', tree])
  }

  /** Every file at a commit with its content's id. Rejects as `listFiles` does. */
  async listBlobs(project: Repository, sha: string): Promise<{ path: string; id: string }[]> {
    const { tree } = await this.#getCommit(project, sha)
    const entries = await this.#git.kept(project, ['ls-tree', '-r', '-z', '--full-tree', tree])
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
    return (await this.#git.kept(project, ['rev-list', '--max-count=1', sha, '--', `:(top,glob)${file}`], '\n'))[0]
  }

  /**
   * Paths that differ between two commits; of a renamed file both names. Rejects with `not_found` for a commit,
   * `unavailable` when there are too many.
   */
  async changedPaths(project: Repository, from: string, to: string): Promise<string[]> {
    const [before, after] = [await this.#getCommit(project, from), await this.#getCommit(project, to)]
    if (before.tree === after.tree) return []
    return this.#git.kept(project, ['diff-tree', '-r', '-z', '--name-only', '--no-renames', before.tree, after.tree])
  }

  /** The same, but against the commit at which the two parted; of two that have nothing in common all that differs. */
  async changedSince(project: Repository, other: string, sha: string): Promise<string[]> {
    for (const commit of [other, sha]) await this.#getCommit(project, commit)
    return this.changedPaths(project, (await this.mergeBase(project, other, sha)) ?? other, sha)
  }

  merge(project: Repository, of: Parameters<RefWriter['merge']>[1]): Promise<string | undefined> {
    return this.#writer.merge(project, of)
  }

  moveBranch(project: Repository, branch: string, of: { from: string; to: string }): Promise<boolean> {
    return this.#writer.moveBranch(project, branch, of)
  }

  createTag(project: Repository, of: Parameters<RefWriter['createTag']>[1]): ReturnType<RefWriter['createTag']> {
    return this.#writer.createTag(project, of)
  }

  async mergeBase(project: Repository, one: string, other: string): Promise<string | undefined> {
    try {
      return (await this.#git.kept(project, ['merge-base', one, other], '\n'))[0]
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as { code?: unknown }
      if (code === 1) return undefined
      throw error
    }
  }

  /** The short names of all tags, by asking git. */
  async listTags(project: Repository): Promise<string[]> {
    return this.#git.lines(project, ['for-each-ref', '--format=%(refname:lstrip=2)%00', 'refs/tags'], '\0\n')
  }

  pin(project: Repository, pipelineId: number, sha: string, isNew = false): void {
    if (!isObjectId(sha)) throw new Error(`${sha} is not an object id`)
    this.#pins.want(this.pathOf(project.id), pipelineId, sha, isNew)
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
}
