/**
 * Compiled configurations by commit. Compiling looks at the file and what it includes, never at the event, so one
 * compilation serves every pipeline of a commit; the rules are evaluated each time. Bounded: the least recently used
 * entry goes first.
 */
import type { CompileOptions, CompileResult, IncludeAnswer, IncludeRequest } from './ci-config/plan.js'
import type { CommitInfo, Project, Repositories } from './project.js'

export type Compile = (source: string, options: CompileOptions) => Promise<CompileResult>

export interface LoadedConfig {
  commit: CommitInfo
  /** Undefined: the commit has no configuration file. */
  result: CompileResult | undefined
}

export interface ConfigCacheOptions {
  repositories: Repositories
  compile: Compile
  /** Projects by path, for `include:project`; undefined if there is none or the pipeline's user may not read it. */
  findProject: (path: string) => Promise<Project | undefined>
  /** Entries; default 200. */
  limit?: number
}

export class ConfigCache {
  readonly #options: ConfigCacheOptions
  readonly #entries = new Map<string, Promise<LoadedConfig>>()
  readonly #limit: number

  constructor(options: ConfigCacheOptions) {
    this.#options = options
    this.#limit = options.limit ?? 200
  }

  /** The configuration of a project at a commit. `variables`: those that `include` may use. */
  async load(project: Project, sha: string, variables: CompileOptions['variables'] = []): Promise<LoadedConfig> {
    const key = `${project.id} ${sha} ${project.configPath}`
    const known = this.#entries.get(key)
    if (known) {
      this.#entries.delete(key)
      this.#entries.set(key, known)
      return known
    }
    const loading = this.#load(project, sha, variables)
    const cacheable = loading.then(({ loaded }) => loaded)
    this.#entries.set(key, cacheable)
    if (this.#entries.size > this.#limit) this.#entries.delete(this.#entries.keys().next().value as string)
    try {
      const { loaded, fixed } = await loading
      if (!fixed) this.#entries.delete(key)
      return loaded
    } catch (error) {
      this.#entries.delete(key)
      throw error
    }
  }

  /** Compiles a text as if it were the project's file at the commit; nothing is kept. */
  compile(project: Project, sha: string | undefined, source: string, variables: CompileOptions['variables'] = []) {
    return this.#options.compile(source, {
      file: project.configPath,
      variables,
      fetchInclude: (request) => this.#fetch(project, sha, request),
      listFiles: async (path, ref) => {
        const target = path === undefined ? project : await this.#options.findProject(path)
        const at = ref ?? sha
        return target && at ? this.#options.repositories.listFiles(target, at) : []
      },
    })
  }

  /** `fixed`: the result depends on the commit alone, so it may be kept. */
  async #load(project: Project, sha: string, variables: CompileOptions['variables']) {
    const { repositories } = this.#options
    const [commit, source] = await Promise.all([
      repositories.commit(project, sha),
      repositories.readFile(project, sha, project.configPath),
    ])
    if (source === undefined) return { loaded: { commit, result: undefined }, fixed: true }
    const result = await this.compile(project, sha, source, variables)
    // Included files may lie elsewhere, and their names may hang on variables of the event.
    return { loaded: { commit, result }, fixed: !/^["']?include["']?\s*:/m.test(source) }
  }

  async #fetch(project: Project, sha: string | undefined, request: IncludeRequest): Promise<IncludeAnswer> {
    const { repositories, findProject } = this.#options
    if (request.kind === 'local') {
      const target = request.project === undefined ? project : await findProject(request.project)
      const at = request.ref ?? sha
      if (!target || at === undefined) return { ok: false, reason: 'file missing' }
      return this.#read(target, at, request.path)
    }
    if (request.kind === 'project') {
      const target = await findProject(request.project)
      if (!target) return { ok: false, reason: 'project missing or access denied' }
      const resolved = await repositories.resolve(target, request.ref ?? target.defaultBranch)
      if (!resolved) return { ok: false, reason: 'ref missing' }
      return this.#read(target, resolved.sha, request.path)
    }
    return { ok: false, reason: `${request.kind} includes are not available on this server` }
  }

  async #read(project: Project, sha: string, path: string): Promise<IncludeAnswer> {
    const content = await this.#options.repositories.readFile(project, sha, path.replace(/^\/+/, ''))
    if (content === undefined) return { ok: false, reason: 'file missing' }
    return { ok: true, content, project: project.fullPath, ref: sha }
  }
}
