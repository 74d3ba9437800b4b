/**
 * What a configuration of the working tree includes, for `lint`, `run --list` and `run`: files of the working tree, of
 * other projects on origin's host, of the web where the user lets them in, and templates from where the user keeps them.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline/promises'
import type { CompileOptions, IncludeAnswer, IncludeRequest } from '../core/ci-config/compilation.js'
import { parseComponent, pickVersion } from '../core/config/component.js'
import { RemoteFiles } from '../core/config/remote-files.js'
import type { Context } from './context.js'
import { Exit, exitCodes } from './exit.js'
import { type ForgeCommit, ForgeProjects, NotFetched } from './forge-projects.js'
import { defaultBranchOf, placesOf, readRefs } from './local-refs.js'
import { projectPath } from './project-path.js'
import { gitOutput, listFiles, type WorkingTree } from './working-tree.js'

/** What the user says of includes on the command line. */
export interface IncludeOptions {
  /** Hosts of the web that files may come from, `HOST` or `HOST:PORT`. */
  allowIncludeHost?: string[]
  /** A folder or an https address that `include:template` names files of. */
  templates?: string
}

const hint = {
  host: 'allow it with --allow-include-host',
  templates:
    'no templates are built in: say where they lie with --templates or SIGNALBOX_TEMPLATES, a folder or an address such ' +
    'as https://gitlab.com/gitlab-org/gitlab/-/raw/master/lib/gitlab/ci/templates',
}

/** Answers what a file of the working tree includes. */
export class LocalIncludes implements Pick<CompileOptions, 'fetchInclude' | 'listFiles'> {
  readonly #context: Context
  readonly #tree: WorkingTree
  #own: string | undefined
  readonly #forge: ForgeProjects
  readonly #named: ReadonlySet<string>
  readonly #templates: string | undefined
  readonly #answers = new Map<string, Promise<boolean>>()
  #asking: Promise<unknown> = Promise.resolve()

  /** @param project path of the working tree's project; absent: that of `origin` */
  constructor(context: Context, tree: WorkingTree, project: string | undefined, options: IncludeOptions) {
    this.#context = context
    this.#tree = tree
    this.#own = project
    const kept = path.join(keptIn(context.env), 'projects')
    this.#forge = new ForgeProjects(tree, kept, () => this.#ownPath(), context.terminal.say)
    this.#named = new Set((options.allowIncludeHost ?? []).map(hostName))
    this.#templates = options.templates ?? (context.env.SIGNALBOX_TEMPLATES || undefined)
  }

  readonly fetchInclude = async (request: IncludeRequest): Promise<IncludeAnswer> => {
    try {
      return await this.#fetch(request)
    } catch (error) {
      if (error instanceof NotFetched) return { ok: false, reason: error.message }
      throw error
    }
  }

  readonly listFiles = async (project?: string, ref?: string): Promise<string[]> => {
    if (project !== undefined && !this.isOwn(project))
      return this.#forge.listFiles(await this.#forge.commit(project, ref))
    const sha = this.#ownCommit(ref)
    if (sha === undefined) return listFiles(this.#tree.root)
    const listed = gitOutput(this.#tree.root, ['ls-tree', '-r', '-z', '--name-only', sha], true) ?? ''
    return listed.split('\0').filter((name) => name !== '')
  }

  /** Whether a path is that of the working tree's project; GitLab does not mind the case. */
  isOwn(project: string): boolean {
    return project.toLowerCase() === this.#ownPath().toLowerCase()
  }

  /** Read when it is first asked for: most configurations include nothing that it matters for. */
  #ownPath(): string {
    this.#own ??= projectPath(this.#tree)
    return this.#own
  }

  async #fetch(request: IncludeRequest): Promise<IncludeAnswer> {
    switch (request.kind) {
      case 'local':
        return request.project === undefined || this.isOwn(request.project)
          ? this.#ownFile(request.path, request.ref)
          : this.#foreignFile(await this.#forge.commit(request.project, request.ref), [request.path])
      case 'project':
        if (this.isOwn(request.project)) return this.#ownFile(request.path, request.ref ?? this.#otherBranch())
        return this.#foreignFile(await this.#forge.commit(request.project, request.ref), [request.path])
      case 'component':
        return this.#component(request.component)
      case 'remote':
        return this.#remote(request.url)
      case 'template':
        return this.#template(request.name)
      case 'artifact':
        return { ok: false, reason: 'is made by a job: only a pipeline that runs has it' }
    }
  }

  #ownFile(file: string, ref: string | undefined): IncludeAnswer {
    const sha = this.#ownCommit(ref)
    const content =
      sha === undefined
        ? readInside(this.#tree.root, file)
        : gitOutput(this.#tree.root, ['cat-file', 'blob', `${sha}:${file}`], true)
    if (content === undefined) return { ok: false, reason: 'file missing' }
    return { ok: true, content, ...(sha === undefined ? {} : { project: this.#ownPath(), ref: sha }) }
  }

  /**
   * The commit that a ref of the own project names; undefined where it is what the working tree stands for, which is
   * then what counts. Throws `NotFetched`.
   */
  #ownCommit(ref: string | undefined): string | undefined {
    const { root, head, branch } = this.#tree
    if (ref === undefined || ref === 'HEAD' || ref === branch || ref === head) return undefined
    const names = [...placesOf(readRefs(this.#tree), ref), `refs/tags/${ref}`, ref]
    const tried = ref.startsWith('-') ? [] : names
    const sha = tried
      .map((name) => gitOutput(root, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`]))
      .find((found) => found !== undefined)
    if (sha === undefined) throw new NotFetched('ref missing in this clone')
    return sha.split('\n').at(-1)
  }

  /** The default branch, where another one is checked out: it is what a project is asked for without a ref. */
  #otherBranch(): string | undefined {
    const refs = readRefs(this.#tree)
    const name = defaultBranchOf(this.#tree, refs)
    return placesOf(refs, name).some((place) => refs.ids.has(place)) ? name : undefined
  }

  #foreignFile(commit: ForgeCommit, files: readonly string[]): IncludeAnswer {
    for (const file of files) {
      const content = this.#forge.readFile(commit, file)
      if (content !== undefined) return { ok: true, content, project: commit.project, ref: commit.sha }
    }
    return { ok: false, reason: 'file missing' }
  }

  async #component(written: string): Promise<IncludeAnswer> {
    const { host } = this.#forge
    // What `$CI_SERVER_FQDN` stands for here is a coordinator on this machine; the component means origin's host.
    const address = written.replace(/^(?:127\.0\.0\.1|localhost)(?::\d+)?\//, `${host ?? 'origin'}/`)
    const component = parseComponent(address, host ?? 'origin')
    if (typeof component === 'string') return { ok: false, reason: component }
    const { project, name, version } = component
    const files = [`templates/${name}.yml`, `templates/${name}/template.yml`]
    const isRange = version === '~latest' || /^\d+(\.\d+)?$/.test(version)
    if (this.isOwn(project) && !isRange) {
      const answer = files.map((file) => this.#ownFile(file, version)).find(({ ok }) => ok)
      return answer?.ok ? { ...answer, component: { name, reference: version } } : { ok: false, reason: 'file missing' }
    }
    const ref = isRange ? (pickVersion(await this.#forge.tags(project), version) ?? version) : version
    const commit = await this.#forge.commit(project, ref)
    const answer = this.#foreignFile(commit, files)
    const released = /^\d+\.\d+\.\d+/.test(ref) ? { version: ref } : {}
    return answer.ok ? { ...answer, component: { name, reference: version, sha: commit.sha, ...released } } : answer
  }

  async #remote(address: string): Promise<IncludeAnswer> {
    const url = new URL(address)
    if (url.protocol === 'https:' && !(await this.#isAllowed(url.host))) {
      return { ok: false, reason: `is blocked: ${url.host} is not an allowed host; ${hint.host} ${url.host}` }
    }
    return this.#web(address)
  }

  async #template(name: string): Promise<IncludeAnswer> {
    const place = this.#templates
    if (place === undefined) return { ok: false, reason: hint.templates }
    if (!/^[\w-]+(?:[./][\w-]+)*$/.test(name)) return { ok: false, reason: 'no name of a template' }
    if (/^https?:\/\//i.test(place)) return this.#web(`${place.replace(/\/+$/, '')}/${name}`, new URL(place).host)
    const content = readInside(path.resolve(this.#context.cwd, place), name)
    return content === undefined ? { ok: false, reason: `file missing in ${place}` } : { ok: true, content }
  }

  /** A file of the web, kept for the time when its host cannot be reached. No credentials are sent. */
  async #web(address: string, ...trusted: string[]): Promise<IncludeAnswer> {
    const named = [...this.#named, ...trusted.map(hostName)]
    const hosts = [...named, ...readHosts(this.#context.env)]
    const files = new RemoteFiles({ hosts, privateHosts: named, timeoutMs: 30_000 })
    const answer = await files.fetch(address)
    const kept = path.join(keptIn(this.#context.env), 'web', createHash('sha256').update(address).digest('hex'))
    if (answer.ok) {
      mkdirSync(path.dirname(kept), { recursive: true, mode: 0o700 })
      writeFileSync(kept, answer.content, { mode: 0o600 })
      return answer
    }
    if (!answer.reason.startsWith('could not be fetched')) {
      return / is not an allowed host$/.test(answer.reason)
        ? { ok: false, reason: `${answer.reason}; ${hint.host}` }
        : answer
    }
    const { host } = new URL(address)
    if (!existsSync(kept))
      return { ok: false, reason: `${answer.reason}: ${host} cannot be reached, and nothing was kept` }
    this.#context.terminal.say(`warning: ${host} cannot be reached; ${address} is taken as it was fetched last`)
    return { ok: true, content: readFileSync(kept, 'utf8') }
  }

  /** By the command line, by an earlier answer, or by one that is asked for now. */
  async #isAllowed(host: string): Promise<boolean> {
    if (this.#named.has(hostName(host)) || readHosts(this.#context.env).has(hostName(host))) return true
    let answer = this.#answers.get(hostName(host))
    if (answer === undefined) {
      answer = this.#ask(hostName(host))
      this.#answers.set(hostName(host), answer)
    }
    return answer
  }

  /** One question at a time; the answer yes is kept. Without a terminal it is no. */
  #ask(host: string): Promise<boolean> {
    const asked = this.#asking.then(async () => {
      if (!process.stdin.isTTY || !process.stderr.isTTY) return false
      const lines = createInterface({ input: process.stdin, output: process.stderr })
      const answer = await lines.question(
        `The configuration includes files of ${host}. Fetch them, now and later? [y/N] `,
      )
      lines.close()
      if (!/^y(?:es)?$/i.test(answer.trim())) return false
      keepHost(this.#context.env, host)
      return true
    })
    this.#asking = asked.catch(() => undefined)
    return asked
  }
}

function hostName(host: string): string {
  return host.toLowerCase().replace(/:443$/, '')
}

/** Checked early: a host that is a URL would never match. */
export function checkHosts(hosts: readonly string[] | undefined): void {
  for (const host of hosts ?? []) {
    if (!/^(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d+)?$/i.test(host)) {
      throw new Exit(exitCodes.usage, `--allow-include-host ${host}: expected HOST or HOST:PORT`)
    }
  }
}

/** https://specifications.freedesktop.org/basedir-spec/latest/ */
function baseFolder(given: string | undefined, otherwise: string): string {
  const base = given !== undefined && path.isAbsolute(given) ? given : path.join(os.homedir(), otherwise)
  return path.join(base, 'signalbox')
}

function keptIn(env: NodeJS.ProcessEnv): string {
  return path.join(baseFolder(env.XDG_CACHE_HOME, '.cache'), 'includes')
}

function hostsFile(env: NodeJS.ProcessEnv): string {
  return path.join(baseFolder(env.XDG_CONFIG_HOME, '.config'), 'include-hosts')
}

function readHosts(env: NodeJS.ProcessEnv): Set<string> {
  const file = hostsFile(env)
  if (!existsSync(file)) return new Set()
  const lines = readFileSync(file, 'utf8').split('\n')
  return new Set(lines.map((line) => hostName(line.trim())).filter((line) => line !== '' && !line.startsWith('#')))
}

function keepHost(env: NodeJS.ProcessEnv, host: string): void {
  const file = hostsFile(env)
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, `${[...readHosts(env), host].join('\n')}\n`, { mode: 0o600 })
}

/** A file of a folder, never one outside it. */
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
