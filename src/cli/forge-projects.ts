/**
 * Files of other projects on the host that `origin` names, fetched with the user's own git: its credentials, its proxies,
 * its keys. Each commit is fetched once and kept, so that what was fetched can be read again without the network.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { isProjectPath } from './project-path.js'
import { gitOutput, type WorkingTree } from './working-tree.js'

/** A project at a commit. */
export interface ForgeCommit {
  project: string
  sha: string
}

/** Why something could not be had: ends in the message of an error. */
export class NotFetched extends Error {
  override readonly name = 'NotFetched'
}

/** Projects on the host of `origin`, each fetched once. */
export class ForgeProjects {
  readonly #tree: WorkingTree
  readonly #folder: string
  readonly #own: () => string
  readonly #say: (line: string) => void
  readonly #found = new Map<string, Promise<ForgeCommit>>()
  /** The last fetch of each project: git locks the repository that it fetches into. */
  readonly #fetching = new Map<string, Promise<unknown>>()
  #origin: Origin | undefined
  #env: NodeJS.ProcessEnv | undefined

  /**
   * @param folder where commits are kept
   * @param own path of the project that the clone is of
   * @param say tells of what stands in for the newest
   */
  constructor(tree: WorkingTree, folder: string, own: () => string, say: (line: string) => void) {
    this.#tree = tree
    this.#folder = folder
    this.#own = own
    this.#say = say
  }

  /** The host of `origin`; undefined where there is none. */
  get host(): string | undefined {
    return this.#originOrNone()?.host
  }

  /**
   * What a ref of a project points to, its files fetched. Throws `NotFetched`.
   *
   * @param ref branch, tag or commit; absent: the default branch
   */
  commit(project: string, ref: string | undefined): Promise<ForgeCommit> {
    const key = `${project}\0${ref ?? ''}`
    let found = this.#found.get(key)
    if (found === undefined) {
      found = this.#commit(project, ref)
      this.#found.set(key, found)
    }
    return found
  }

  /** Names of the project's tags. Throws `NotFetched`. */
  async tags(project: string): Promise<string[]> {
    const listed = await this.#remote(project, ['ls-remote', '--tags', '--refs', this.#urlOf(project)])
    return listed.split('\n').flatMap((line) => /\trefs\/tags\/(.+)$/.exec(line)?.[1] ?? [])
  }

  /** Undefined if there is no such file. */
  readFile({ project, sha }: ForgeCommit, file: string): string | undefined {
    const repository = this.#repositoryOf(project)
    if (gitOutput(repository, ['cat-file', '-t', `${sha}:${file}`]) !== 'blob') return undefined
    return gitOutput(repository, ['cat-file', 'blob', `${sha}:${file}`], true)
  }

  listFiles({ project, sha }: ForgeCommit): string[] {
    const listed = gitOutput(this.#repositoryOf(project), ['ls-tree', '-r', '-z', '--name-only', sha], true)
    return (listed ?? '').split('\0').filter((name) => name !== '')
  }

  async #commit(project: string, ref: string | undefined): Promise<ForgeCommit> {
    const url = this.#urlOf(project)
    const repository = this.#repositoryOf(project)
    if (ref !== undefined && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref)) {
      await this.#fetch(project, url, ref)
      return { project, sha: ref }
    }
    if (ref !== undefined && gitOutput(this.#tree.root, ['check-ref-format', `refs/heads/${ref}`]) === undefined) {
      throw new NotFetched('ref missing')
    }
    const seen = path.join(repository, `seen-${digest(ref ?? '')}`)
    try {
      const sha = await this.#resolve(project, url, ref)
      await this.#fetch(project, url, sha)
      writeFileSync(seen, sha)
      return { project, sha }
    } catch (error) {
      if (!(error instanceof Unreachable) || !existsSync(seen)) throw error
      const sha = readFileSync(seen, 'utf8')
      this.#say(
        `warning: ${this.host} cannot be reached; ${project} is taken as it was fetched last (${sha.slice(0, 8)})`,
      )
      return { project, sha }
    }
  }

  /** A tag's commit goes before the tag itself, a branch before a tag, as in GitLab. */
  async #resolve(project: string, url: string, ref: string | undefined): Promise<string> {
    const names = ref === undefined ? ['HEAD'] : [`refs/heads/${ref}`, `refs/tags/${ref}^{}`, `refs/tags/${ref}`]
    const asked = ref === undefined ? ['HEAD'] : [`refs/heads/${ref}`, `refs/tags/${ref}`, `refs/tags/${ref}^{}`]
    const listed = await this.#remote(project, ['ls-remote', url, ...asked])
    const ids = new Map(listed.split('\n').map((line) => line.split('\t').reverse() as [string, string]))
    const sha = names.map((name) => ids.get(name)).find((id) => id !== undefined)
    if (sha === undefined) throw new NotFetched('ref missing')
    return sha
  }

  /** One commit with its files, unless it is kept. */
  async #fetch(project: string, url: string, sha: string): Promise<void> {
    const before = this.#fetching.get(project)
    const fetching = (async () => {
      await before?.catch(() => undefined)
      const repository = this.#repositoryOf(project)
      if (gitOutput(repository, ['cat-file', '-e', `refs/kept/${sha}^{tree}`]) !== undefined) return
      await this.#remote(project, ['fetch', '--quiet', '--depth=1', '--no-tags', '--no-write-fetch-head', url, sha])
      gitOutput(repository, ['update-ref', `refs/kept/${sha}`, sha])
    })()
    this.#fetching.set(project, fetching)
    return fetching
  }

  #remote(project: string, args: string[]): Promise<string> {
    // Nothing that the clone's configuration adds to requests follows a redirect to another host.
    const options = ['-c', 'http.followRedirects=false', '-c', 'gc.auto=0', '-c', 'maintenance.auto=false']
    return new Promise((resolve, reject) => {
      execFile(
        'git',
        [...options, ...args],
        { cwd: this.#repositoryOf(project), env: this.#environment(), maxBuffer: 64 * 1024 * 1024, timeout: 120_000 },
        (error, stdout, stderr) => (error === null ? resolve(stdout) : reject(this.#failure(stderr))),
      )
    })
  }

  /** Git has one status for all that can go wrong with a remote; its words are shown without what they may give away. */
  #failure(stderr: string): NotFetched {
    const lines = stderr.split('\n').filter((line) => line.trim() !== '')
    const line = lines.find((one) => /^(?:fatal|error|remote):/.test(one)) ?? lines.at(-1) ?? 'git failed'
    const words = line.replace(/\/\/[^/@\s]*@/g, '//').trim()
    const host = this.host ?? 'origin'
    if (unreachable.test(stderr)) return new Unreachable(`${host} cannot be reached, and nothing was kept (${words})`)
    return new NotFetched(`could not be fetched from ${host}: project missing or access denied (${words})`)
  }

  /** As the user's git in the clone has it, with what only the clone's configuration says of access. */
  #environment(): NodeJS.ProcessEnv {
    if (this.#env !== undefined) return this.#env
    const { GIT_DIR: _, GIT_WORK_TREE: __, GIT_INDEX_FILE: ___, ...env } = process.env
    const listed = gitOutput(this.#tree.root, ['config', '--local', '--includes', '--list', '-z'], true) ?? ''
    const entries = listed
      .split('\0')
      .map((entry) => entry.split(/\n(.*)/s))
      .filter(([key = '']) => /^(?:credential|http|url|ssh|core\.(?:sshcommand|askpass|gitproxy))\b/.test(key))
    const first = Number(env.GIT_CONFIG_COUNT ?? 0)
    env.GIT_CONFIG_COUNT = String(first + entries.length)
    for (const [index, [key, value]] of entries.entries()) {
      env[`GIT_CONFIG_KEY_${first + index}`] = key
      env[`GIT_CONFIG_VALUE_${first + index}`] = value ?? ''
    }
    // Nobody answers a question that nobody sees.
    if (!process.stderr.isTTY || !process.stdin.isTTY) env.GIT_TERMINAL_PROMPT = '0'
    env.LC_ALL = 'C'
    this.#env = env
    return env
  }

  #urlOf(project: string): string {
    const origin = this.#originOrNone()
    if (origin === undefined) {
      throw new NotFetched('there is no origin whose host it could come from (git remote add origin URL)')
    }
    if (!isProjectPath(project)) throw new NotFetched('project missing: this is no path of a project')
    return `${origin.base}${project}.git`
  }

  #originOrNone(): Origin | undefined {
    if (this.#origin === undefined && this.#tree.gitDir !== undefined) {
      const address = gitOutput(this.#tree.root, ['remote', 'get-url', 'origin'])
      this.#origin = address === undefined ? undefined : originOf(address, this.#own())
    }
    return this.#origin
  }

  #repositoryOf(project: string): string {
    const { host = '', base = '' } = this.#originOrNone() ?? {}
    const repository = path.join(this.#folder, digest(`${host} ${base.replace(/\/\/[^/@]*@/, '//')} ${project}`))
    if (!existsSync(path.join(repository, 'HEAD'))) {
      mkdirSync(repository, { recursive: true, mode: 0o700 })
      gitOutput(repository, ['init', '--quiet', '--bare'])
    }
    return repository
  }
}

/** The host did not answer: what is kept may stand in. */
class Unreachable extends NotFetched {}

const unreachable =
  /could ?n.t resolve|could not resolve|unable to look up|failed to connect|could not connect|connection (?:refused|timed out|reset)|network is unreachable|no route to host|operation timed out/i

interface Origin {
  host: string
  /** What stands before the path of a project. */
  base: string
}

/** Undefined for a folder of which nobody knows where its projects begin. */
function originOf(address: string, own: string): Origin | undefined {
  const plain = address.replace(/\/+$/, '').replace(/\.git$/, '')
  // An installation below a path: its projects begin where this one does.
  const before = plain.toLowerCase().endsWith(`/${own.toLowerCase()}`) ? plain.slice(0, -own.length) : undefined
  const url = /^([a-z+]+:\/\/(?:[^/@]*@)?([^/]*))\//i.exec(plain)
  if (url !== null) {
    const [, start = '', host = ''] = url
    if (before === undefined && host === '') return undefined
    return { host: host === '' ? 'this machine' : host.toLowerCase(), base: before ?? `${start}/` }
  }
  const scp = /^((?:[^/:@]*@)?(\[[^\]]+\]|[^/:]+)):/.exec(plain)
  if (scp !== null) return { host: (scp[2] ?? '').toLowerCase(), base: before ?? `${scp[1]}:` }
  return before === undefined ? undefined : { host: 'this machine', base: before }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
