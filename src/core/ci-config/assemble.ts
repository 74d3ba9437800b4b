import { createRequire } from 'node:module'
import { ClauseError, type FileFacts, Files, ruleHolds } from './clauses.js'
import { expandText } from './expand.js'
import { ConfigFault } from './fault.js'
import { type Findings, StopCompilation } from './findings.js'
import { matchesIncludePath } from './glob.js'
import { readHeader } from './header.js'
import { type IncludeEntry, type IncludeMap, includeKinds, include as includeShape } from './keywords/include.js'
import type { IncludeRule } from './keywords/rules.js'
import { limits } from './limits.js'
import { type LoadedFile, loadFile } from './load.js'
import { deepMerge, type MergeBudget, withoutKey } from './merge.js'
import { isNull, type MapNode, makeMap, type Node, quote } from './node.js'
import { fromPlain } from './plain.js'
import type { CompileOptions, IncludeAnswer, IncludeRequest } from './plan.js'
import { layerOf, Scope } from './scope.js'
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
  trail: readonly string[]
}

/**
 * Puts a configuration together from its main file: header, inputs and includes, each included file with its own
 * (lib/gitlab/ci/config/external). Files are merged in the order of the list, the including file over all of them.
 *
 * @throws ConfigFault for the first thing that fails
 */
export async function assemble(
  source: string,
  options: CompileOptions,
  findings: Findings,
  budget: MergeBudget,
): Promise<MapNode> {
  const assembly = new Assembly(options, findings, budget)
  return assembly.main(source)
}

interface Job {
  request: IncludeRequest
  /** How the file is called in messages. */
  name: string
  inputs: Node | undefined
  integrity: string | undefined
  at: number
}

class Assembly {
  readonly #options: CompileOptions
  readonly #findings: Findings
  readonly #budget: MergeBudget
  readonly #scope: Scope
  readonly #fetched = new Map<string, Promise<IncludeAnswer>>()
  readonly #loaded = new Map<string, LoadedFile>()
  #count = 0
  #bytes = 0

  constructor(options: CompileOptions, findings: Findings, budget: MergeBudget) {
    this.#options = options
    this.#findings = findings
    this.#budget = budget
    const variables = options.variables ?? []
    this.#scope = new Scope([layerOf(variables)], variables)
  }

  async main(source: string): Promise<MapNode> {
    const name = this.#options.file ?? '.gitlab-ci.yml'
    const loaded = this.#load(name, source)
    const given = this.#options.inputs
    if (given !== undefined && Object.keys(given).length > limits.givenInputs) {
      throw new ConfigFault(`a pipeline takes ${limits.givenInputs} inputs at most`, loaded.at)
    }
    const inputs = given === undefined ? undefined : fromPlain(given, loaded.at)
    return this.#file(loaded, inputs, { hasProject: true, trail: [name] })
  }

  #load(name: string, source: string): LoadedFile {
    return loadFile(this.#findings.sources, name, source, (key, at) => {
      this.#findings.warn(`the key ${quote(key)} is given twice; the last one counts`, at, '')
    })
  }

  async #file(loaded: LoadedFile, inputs: Node | undefined, origin: Origin): Promise<MapNode> {
    const content = await readHeader(loaded, inputs, {
      findings: this.#findings,
      origin,
      variable: (name) => this.#scope.find(name),
      fetchInputs: (node) => this.#inputFiles(node, origin),
    })
    return this.#expand(content, origin)
  }

  async #expand(content: MapNode, origin: Origin): Promise<MapNode> {
    const node = content.entries.get('include')?.value
    if (node === undefined) return content
    const own = withoutKey(content, 'include')
    if (isNull(node)) return own
    const jobs = await this.#jobs(this.#entries(node), origin)
    // All at once, since most of the time goes by waiting; what came is looked at in order, so errors are the same always.
    const answers = jobs.map((job) => this.#fetch(job.request))
    let merged = makeMap(new Map(), content.at)
    for (const [index, job] of jobs.entries()) {
      const answer = (await answers[index]) ?? { ok: false, reason: 'could not be fetched' }
      const file = await this.#included(job, answer, origin)
      merged = deepMerge(merged, file, this.#budget)
    }
    return deepMerge(merged, own, this.#budget)
  }

  #entries(node: Node): { entry: IncludeEntry; node: Node }[] {
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

  /** The files that entries mean, with variables put in and rules decided. */
  async #jobs(entries: { entry: IncludeEntry; node: Node }[], origin: Origin): Promise<Job[]> {
    const jobs: Job[] = []
    for (const { entry, node } of entries) {
      const map: IncludeMap = typeof entry === 'string' ? this.#fromText(entry) : entry
      if (map.rules !== undefined && !(await this.#isWanted(map.rules, node.at, origin))) continue
      for (const request of await this.#requests(map, node.at, origin)) {
        jobs.push({ request, name: locationOf(request), inputs: map.inputs, integrity: map.integrity, at: node.at })
      }
    }
    this.#count += jobs.length
    const most = this.#options.maxIncludes ?? limits.includes
    if (this.#count > most) {
      const at = jobs[Math.max(0, jobs.length - 1 - (this.#count - most - 1))]?.at ?? 0
      throw new ConfigFault(`Maximum of ${most} included files is exceeded, nested ones counted`, at, 'include')
    }
    return jobs
  }

  #fromText(text: string): IncludeMap {
    return /^https?:\/\//i.test(this.#put(text)) ? { remote: text } : { local: text }
  }

  /** Variables of configuration time in a text; unknown ones vanish. */
  #put(text: string): string {
    return expandText(text, this.#scope.lookup, 'blank')
  }

  async #requests(map: IncludeMap, at: number, origin: Origin): Promise<IncludeRequest[]> {
    if (map.local !== undefined) return this.#local(this.#put(map.local), at, origin)
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
    throw this.#fault('artifact can be included by trigger only', at)
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
    return matching
      .map((file): IncludeRequest => ({ kind: 'local', path: file, ...place }))
      .filter((request) => !this.#fetched.has(JSON.stringify(request)))
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

  /** What these rules ask about files, fetched before they are decided. */
  async #facts(rules: readonly IncludeRule[], at: number, origin: Origin): Promise<FileFacts> {
    const { changedPaths, changedSince, listFiles } = this.#options
    const facts: FileFacts = changedPaths === undefined ? {} : { changedPaths }
    const comparePaths: Record<string, string[]> = Object.create(null)
    const projectFiles: Record<string, string[]> = Object.create(null)
    const put = (text: string): string => expandText(text, this.#scope.expanded, 'existing')
    for (const { changes, exists } of rules) {
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

  #fetch(request: IncludeRequest): Promise<IncludeAnswer> {
    const key = JSON.stringify(request)
    let answer = this.#fetched.get(key)
    if (answer === undefined) {
      answer = this.#options.fetchInclude(request).catch(() => ({ ok: false, reason: 'could not be fetched' }))
      this.#fetched.set(key, answer)
    }
    return answer
  }

  async #included(job: Job, answer: IncludeAnswer, origin: Origin): Promise<MapNode> {
    if (!answer.ok) throw this.#fault(`included file ${quote(job.name)}: ${answer.reason}`, job.at)
    if (answer.content.trim() === '') throw this.#fault(`included file ${quote(job.name)} is empty`, job.at)
    this.#checkIntegrity(job, answer.content)
    const key = JSON.stringify(job.request)
    const step = job.inputs === undefined ? key : `${key} ${JSON.stringify(job.inputs)}`
    if (origin.trail.includes(step)) {
      throw this.#fault(`included file ${quote(job.name)} includes itself: ${this.#circle(origin.trail, step)}`, job.at)
    }
    const loaded = this.#loadOnce(key, job, answer.content)
    return this.#file(loaded, job.inputs, nextOrigin(job.request, answer, origin, step))
  }

  #circle(trail: readonly string[], step: string): string {
    const names = [...trail.slice(trail.indexOf(step)), step].map((one) => {
      const request = /^\{.*?\}/.exec(one)?.[0]
      return request === undefined ? one : locationOf(JSON.parse(request) as IncludeRequest)
    })
    return names.join(' → ')
  }

  #loadOnce(key: string, job: Job, content: string): LoadedFile {
    let loaded = this.#loaded.get(key)
    this.#bytes += content.length
    if (this.#bytes > limits.includedBytes) {
      throw this.#fault(`included files have more than ${limits.includedBytes} bytes together`, job.at)
    }
    if (loaded === undefined) {
      loaded = this.#load(this.#scope.mask(job.name), content)
      this.#loaded.set(key, loaded)
    }
    return loaded
  }

  #checkIntegrity(job: Job, content: string): void {
    if (job.integrity === undefined) return
    const { createHash } = createRequire(import.meta.url)('node:crypto') as typeof import('node:crypto')
    if (`sha256-${createHash('sha256').update(content).digest('base64')}` !== job.integrity) {
      throw this.#fault(`included file ${quote(job.name)}: integrity check failed`, job.at)
    }
  }

  /** The inputs that the files of `spec:include` define. */
  async #inputFiles(node: Node, origin: Origin): Promise<{ name: string; content: MapNode }[]> {
    const entries = this.#entries(node)
    for (const { entry, node: one } of entries) {
      if (typeof entry === 'string') continue
      const odd = (['template', 'component', 'artifact', 'inputs', 'rules'] as const).filter(
        (key) => entry[key] !== undefined,
      )
      if (odd.length > 0)
        throw new ConfigFault(`unknown keys: ${odd.join(', ')} in spec:include`, one.at, 'spec:include')
    }
    const jobs = await this.#jobs(entries, origin)
    const answers = jobs.map((job) => this.#fetch(job.request))
    const files: { name: string; content: MapNode }[] = []
    for (const [index, job] of jobs.entries()) {
      const answer = (await answers[index]) ?? { ok: false, reason: 'could not be fetched' }
      if (!answer.ok) throw this.#fault(`included file ${quote(job.name)}: ${answer.reason}`, job.at)
      if (answer.content.trim() === '') throw this.#fault(`included file ${quote(job.name)} is empty`, job.at)
      files.push({ name: job.name, content: this.#loadOnce(JSON.stringify(job.request), job, answer.content).content })
    }
    return files
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
  }
}

function nextOrigin(
  request: IncludeRequest,
  answer: Extract<IncludeAnswer, { ok: true }>,
  origin: Origin,
  step: string,
): Origin {
  const trail = [...origin.trail, step]
  const { project, ref, component } = answer
  const place = { ...(project === undefined ? {} : { project }), ...(ref === undefined ? {} : { ref }) }
  switch (request.kind) {
    case 'local':
      return { ...origin, ...place, isComponent: false, trail }
    case 'project':
      return {
        hasProject: true,
        project: request.project,
        ...(request.ref === undefined ? {} : { ref: request.ref }),
        ...place,
        trail,
      }
    case 'component':
      return {
        hasProject: project !== undefined,
        ...place,
        isComponent: true,
        ...(component === undefined ? {} : { component }),
        trail,
      }
    default:
      return { hasProject: false, trail }
  }
}
