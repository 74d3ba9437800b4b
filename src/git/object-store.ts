/**
 * What object ids name in the hosted repositories. It cannot change, so it is kept in memory up to a bound; the rest is
 * asked of git. Keys begin with the repository: that another one has an object tells nothing about this one.
 */
import fs from 'node:fs'
import path from 'node:path'
import { BoundedCache } from '../core/bounded-cache.js'
import type { Clock } from '../core/clock.js'
import { SignalboxError } from '../core/errors.js'
import { findTreeEntry, type ParsedCommit, parseCommit, parseTag, parseTagMessage } from './object-formats.js'
import { ObjectPool } from './object-pool.js'
import type { GitObject } from './object-reader.js'
import { isObjectId } from './ref-name.js'

export interface ObjectStoreOptions {
  env: NodeJS.ProcessEnv
  clock: Clock
  /** `git cat-file` processes at once. */
  readers: number
  /** Milliseconds after which one that is not asked ends. */
  readerIdleMs: number
  /** Largest file that is read, in bytes. */
  fileLimitBytes: number
}

const mebibyte = 1024 * 1024
const largestCommitBytes = 16 * mebibyte
const largestTreeBytes = 16 * mebibyte
/** Tags that point to tags, before it is called a joke. */
const tagDepth = 5

export class ObjectStore {
  readonly #options: ObjectStoreOptions
  readonly #pool: ObjectPool
  readonly #commits = new BoundedCache<ParsedCommit>(32 * mebibyte)
  readonly #peeled = new BoundedCache<string>(mebibyte)
  readonly #trees = new BoundedCache<Buffer>(32 * mebibyte)
  /** Null: there is no such file. */
  readonly #files = new BoundedCache<string | null>(64 * mebibyte)

  constructor(options: ObjectStoreOptions) {
    this.#options = options
    this.#pool = new ObjectPool({
      env: options.env,
      clock: options.clock,
      limit: options.readers,
      idleMs: options.readerIdleMs,
    })
  }

  /** The commit of an id; undefined if there is none in this repository. */
  async findCommit(repository: string, sha: string): Promise<ParsedCommit | undefined> {
    const known = this.#commits.get(`${repository} ${sha}`)
    if (known) return known
    const object = await this.#find(repository, sha, largestCommitBytes)
    return object?.type === 'commit' ? this.#keepCommit(repository, sha, object.bytes) : undefined
  }

  /** The commit that an id names, or that the annotated tag of this id points to; undefined if there is none. */
  async peel(repository: string, id: string): Promise<string | undefined> {
    const key = `${repository} ${id}`
    const known = this.#peeled.get(key) ?? this.#commits.get(key)?.info.sha
    if (known !== undefined) return known
    let next: string | undefined = id
    for (let depth = 0; depth <= tagDepth && next !== undefined; depth++) {
      const object: GitObject | undefined = await this.#find(repository, next, largestCommitBytes)
      if (object?.type === 'commit') {
        this.#keepCommit(repository, next, object.bytes)
        return this.#peeled.set(key, next, key.length + next.length)
      }
      next = object?.type === 'tag' ? parseTag(object.bytes) : undefined
    }
    return undefined
  }

  /** The message of an annotated tag; empty for what is none. */
  async tagMessage(repository: string, id: string): Promise<string> {
    const object = await this.#find(repository, id, largestCommitBytes)
    return object?.type === 'tag' ? parseTagMessage(object.bytes) : ''
  }

  /**
   * The text of a regular file at a commit; undefined for a path that is not there, is no regular file, or leads through
   * a symbolic link. Rejects with `too_large`.
   */
  async readFile(repository: string, commit: ParsedCommit, file: string): Promise<string | undefined> {
    const key = `${repository} ${commit.tree} ${file}`
    const known = this.#files.get(key)
    if (known !== undefined) return known ?? undefined
    const id = await this.#fileId(repository, commit.tree, file.split('/'))
    const text = id && (await this.#get(repository, id, this.#options.fileLimitBytes)).toString('utf8')
    this.#files.set(key, text ?? null, key.length + (text?.length ?? 0) * 2)
    return text
  }

  /** The bytes of a blob; undefined if there is none of this id. Rejects with `too_large`. */
  async readBlob(repository: string, id: string): Promise<Buffer | undefined> {
    const object = await this.#find(repository, id, this.#options.fileLimitBytes)
    return object?.type === 'blob' ? object.bytes : undefined
  }

  /** Ends the process of one repository, which may then be moved or deleted. */
  release(repository: string): Promise<void> {
    return this.#pool.release(repository)
  }

  get processes(): number {
    return this.#pool.size
  }

  /** Ends every process. Safe to repeat. */
  close(): Promise<void> {
    return this.#pool.close()
  }

  async #fileId(repository: string, tree: string, parts: readonly string[]): Promise<string | undefined> {
    let id = tree
    for (const [i, part] of parts.entries()) {
      const entry = findTreeEntry(await this.#tree(repository, id), part)
      const wanted = i === parts.length - 1 ? /^100/ : /^0?40000$/
      if (!entry || !wanted.test(entry.mode)) return undefined
      id = entry.id
    }
    return id
  }

  async #tree(repository: string, id: string): Promise<Buffer> {
    const key = `${repository} ${id}`
    const known = this.#trees.get(key)
    if (known) return known
    const bytes = await this.#get(repository, id, largestTreeBytes)
    return this.#trees.set(key, bytes, key.length + bytes.length)
  }

  #keepCommit(repository: string, sha: string, bytes: Buffer): ParsedCommit {
    return this.#commits.set(`${repository} ${sha}`, parseCommit(sha, bytes), 512 + bytes.length * 2)
  }

  async #get(repository: string, id: string, maxBytes: number): Promise<Buffer> {
    const object = await this.#find(repository, id, maxBytes)
    if (!object) throw new SignalboxError('not_found', `no object ${id}`)
    return object.bytes
  }

  async #find(repository: string, id: string, maxBytes: number): Promise<GitObject | undefined> {
    if (!isRepository(repository)) throw new SignalboxError('not_found', 'there is no repository')
    return isObjectId(id) ? this.#pool.read(repository, id, maxBytes) : undefined
  }
}

/** Whether a folder is a bare repository. */
export function isRepository(folder: string): boolean {
  return fs.existsSync(path.join(folder, 'HEAD'))
}
