/** A part of assembling: entries of `include`, each made into requests for files. */
import { ClauseError, type FileFacts, Files, ruleHolds } from './clauses.js'
import type { CompileOptions, IncludeRequest } from './compilation.js'
import { expandText } from './expand.js'
import { ConfigFault } from './fault.js'
import { type Findings, StopCompilation } from './findings.js'
import { matchesIncludePath } from './glob.js'
import { type IncludeEntry, type IncludeMap, includeKinds, include as includeShape } from './keywords/include.js'
import type { IncludeRule } from './keywords/rules.js'
import { isNull, type Node, quote } from './node.js'
import type { Scope } from './scope.js'
import { validate } from './validate.js'

/** Where a file came from, which decides what its own includes mean. */
export interface Origin {
  /** Whether `local` means anything: files from the web and templates have no project. */
  hasProject: boolean
  project?: string
  ref?: string
  isComponent?: boolean
  component?: { name: string; version?: string; sha?: string; reference?: string }
  /** The files that led here, to tell circles. */
  trail: readonly Step[]
}

/** One file included in another, with its inputs. */
export interface Step {
  name: string
  key: string
}

/** An entry of `include`, and where it is written. */
export interface WrittenEntry {
  entry: IncludeEntry
  node: Node
}

/** One file to be included. */
export interface Inclusion {
  request: IncludeRequest
  /** How the file is called in messages. */
  name: string
  inputs: Node | undefined
  integrity: string | undefined
  at: number
}

/** Entries of `include`, made into requests for files (lib/gitlab/ci/config/external/mapper). */
export class IncludeEntries {
  readonly #options: CompileOptions
  readonly #scope: Scope
  readonly #findings: Findings
  #changed: Promise<string[] | undefined> | undefined

  /** @param scope the variables of configuration time */
  constructor(options: CompileOptions, scope: Scope, findings: Findings) {
    this.#options = options
    this.#scope = scope
    this.#findings = findings
  }

  /** The entries of an `include`, each with the node that it stands in. */
  read(node: Node): WrittenEntry[] {
    const nodes = node.kind === 'list' ? node.items : [node]
    for (const one of nodes) {
      if (one.kind !== 'map') continue
      const kinds = includeKinds.filter((kind) => !isNull(one.entries.get(kind)?.value))
      if (kinds.length === 1) continue
      const problem = kinds.length === 0 ? 'needs' : `has ${kinds.join(' and ')} but needs`
      throw new ConfigFault(
        `include config ${problem} exactly one valid subkey for include: ${includeKinds.join(', ')}`,
        one.at,
        'include',
      )
    }
    const entries = validate(includeShape, node, 'include', this.#findings)
    if (entries === undefined) throw new StopCompilation()
    return entries.map((entry, index) => ({ entry, node: nodes[index] ?? node }))
  }

  /**
   * The files that entries mean, with variables put in and rules decided.
   *
   * @param isKnown whether a file was asked for before: wildcards leave it out, and what stands before them in the list
   */
  async resolve(
    entries: readonly WrittenEntry[],
    origin: Origin,
    isKnown: (request: IncludeRequest) => boolean,
  ): Promise<Inclusion[]> {
    const inclusions: Inclusion[] = []
    for (const { entry, node } of entries) {
      const map: IncludeMap = typeof entry === 'string' ? this.#fromText(entry) : entry
      if (map.rules !== undefined && !(await this.#isWanted(map.rules, node.at, origin))) continue
      const isListed = (request: IncludeRequest): boolean => {
        const key = JSON.stringify(request)
        return isKnown(request) || inclusions.some((one) => JSON.stringify(one.request) === key)
      }
      for (const request of await this.#requests(map, node.at, origin, isListed)) {
        inclusions.push({
          request,
          name: locationOf(request),
          inputs: map.inputs,
          integrity: map.integrity,
          at: node.at,
        })
      }
    }
    return inclusions
  }

  #fromText(text: string): IncludeMap {
    return /^https?:\/\//i.test(this.#put(text)) ? { remote: text } : { local: text }
  }

  /** Variables of configuration time in a text; unknown ones vanish. */
  #put(text: string): string {
    return expandText(text, this.#scope.lookup, 'blank')
  }

  async #requests(
    map: IncludeMap,
    at: number,
    origin: Origin,
    isKnown: (request: IncludeRequest) => boolean,
  ): Promise<IncludeRequest[]> {
    if (map.local !== undefined) {
      const written = this.#put(map.local)
      const requests = await this.#local(written, at, origin)
      return written.includes('*') ? requests.filter((request) => !isKnown(request)) : requests
    }
    if (map.project !== undefined) return this.#project(map, at)
    if (map.remote !== undefined) {
      const url = this.#put(map.remote)
      if (!/^https?:\/\/[^/]/i.test(url) || !URL.canParse(url))
        throw this.#fault(`remote file ${quote(url)} needs a valid URL`, at)
      this.#checkExtension(new URL(url).pathname, url, at)
      return [{ kind: 'remote', url }]
    }
    if (map.template !== undefined) {
      const name = this.#put(map.template)
      if (!name.endsWith('.gitlab-ci.yml')) throw this.#fault(`template ${quote(name)} must end in .gitlab-ci.yml`, at)
      return [{ kind: 'template', name }]
    }
    if (map.component !== undefined) return [{ kind: 'component', component: this.#put(map.component) }]
    if (this.#options.artifactIncludes !== true) throw this.#fault('artifact can be included by trigger only', at)
    const [job, path] = [this.#put(map.job ?? ''), this.#put(map.artifact ?? '').replace(/^\/+/, '')]
    this.#checkExtension(path, path, at)
    return [{ kind: 'artifact', job, path }]
  }

  async #local(written: string, at: number, origin: Origin): Promise<IncludeRequest[]> {
    if (!origin.hasProject) {
      throw this.#fault(`local file ${quote(written)} can't be included here: this file belongs to no project`, at)
    }
    const path = written.replace(/^\/+/, '')
    this.#checkExtension(path, written, at)
    const place = {
      ...(origin.project === undefined ? {} : { project: origin.project }),
      ...(origin.ref === undefined ? {} : { ref: origin.ref }),
    }
    if (!path.includes('*')) return [{ kind: 'local', path, ...place }]
    const files = await this.#list(origin.project, origin.ref, at)
    const matching = files.filter((file) => matchesIncludePath(path, file)).toSorted()
    return matching.map((file) => ({ kind: 'local', path: file, ...place }))
  }

  #project(map: IncludeMap, at: number): IncludeRequest[] {
    const project = this.#put(map.project ?? '')
    if (map.file === undefined || map.file.length === 0) throw this.#fault('project requires file', at)
    const ref = map.ref === undefined ? '' : this.#put(map.ref)
    return map.file.map((file) => {
      const path = this.#put(file).replace(/^\/+/, '')
      this.#checkExtension(path, path, at)
      return { kind: 'project', project, path, ...(ref === '' ? {} : { ref }) }
    })
  }

  #checkExtension(path: string, written: string, at: number): void {
    if (/\.ya?ml$/.test(path)) return
    throw this.#fault(
      `included file ${quote(written)} does not have YAML extension: its name must end in .yml or .yaml`,
      at,
    )
  }

  /** Rules of an entry: the first that holds decides, none leaves the file out. */
  async #isWanted(rules: readonly IncludeRule[], at: number, origin: Origin): Promise<boolean> {
    const files = new Files(await this.#facts(rules, at, origin))
    try {
      const rule = rules.find((one) => ruleHolds(one, this.#scope, files))
      return rule !== undefined && rule.when !== 'never'
    } catch (error) {
      if (!(error instanceof ClauseError)) throw error
      throw this.#fault(`include: ${error.message}`, at)
    }
  }

  /** Asked once; where it cannot be said it is unknown. */
  #changedPaths(): Promise<string[] | undefined> {
    this.#changed ??= (async () => this.#options.changedPaths?.())().catch(() => undefined)
    return this.#changed
  }

  /** What these rules ask about files, fetched before they are decided. */
  async #facts(rules: readonly IncludeRule[], at: number, origin: Origin): Promise<FileFacts> {
    const { changedSince, listFiles } = this.#options
    const facts: FileFacts = {}
    const comparePaths: Record<string, string[]> = Object.create(null)
    const projectFiles: Record<string, string[]> = Object.create(null)
    const put = (text: string): string => expandText(text, this.#scope.expanded, 'existing')
    for (const { changes, exists } of rules) {
      if (changes !== undefined && changes.compareTo === undefined && facts.changedPaths === undefined) {
        const paths = await this.#changedPaths()
        if (paths !== undefined) facts.changedPaths = paths
      }
      if (changes?.compareTo !== undefined) {
        const ref = put(changes.compareTo)
        const paths = await changedSince?.(ref).catch(() => undefined)
        if (paths !== undefined) comparePaths[ref] = paths
      }
      if (exists?.project !== undefined) {
        const [project, ref] = [put(exists.project), exists.ref === undefined ? undefined : put(exists.ref)]
        const files = await listFiles?.(project, ref).catch(() => undefined)
        if (files !== undefined) projectFiles[ref === undefined ? project : `${project}@${ref}`] = files
      } else if (exists !== undefined && facts.files === undefined) {
        facts.files = origin.hasProject ? await this.#list(origin.project, origin.ref, at) : []
      }
    }
    return { ...facts, comparePaths, projectFiles }
  }

  async #list(project: string | undefined, ref: string | undefined, at: number): Promise<string[]> {
    const { listFiles } = this.#options
    if (listFiles === undefined) return []
    try {
      return await listFiles(project, ref)
    } catch {
      throw this.#fault('the files of the project could not be listed', at)
    }
  }

  #fault(message: string, at: number): ConfigFault {
    return new ConfigFault(this.#scope.mask(message), at, 'include')
  }
}

function locationOf(request: IncludeRequest): string {
  switch (request.kind) {
    case 'local':
      return request.path
    case 'project':
      return `${request.project}:${request.path}${request.ref === undefined ? '' : `@${request.ref}`}`
    case 'remote':
      return request.url
    case 'template':
      return request.name
    case 'component':
      return request.component
    case 'artifact':
      return `${request.job}:${request.path}`
  }
}
