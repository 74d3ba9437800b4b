/** The first part of compiling: one document out of the main file and all that it includes. */
import { createRequire } from 'node:module'
import type { CompileOptions, IncludeAnswer, IncludedFile, IncludeRequest } from './compilation.js'
import { ConfigFault } from './fault.js'
import type { Findings } from './findings.js'
import { readHeader } from './header.js'
import { IncludeEntries, type Inclusion, type Origin, type Step, type WrittenEntry } from './include-entries.js'
import type { InputSpecs } from './keywords/header.js'
import { limits } from './limits.js'
import { type LoadedFile, loadFile } from './load.js'
import { deepMerge, type MergeBudget, withoutKey } from './merge.js'
import { isNull, type MapNode, makeMap, type Node, quote } from './node.js'
import { fromPlain, toPlain } from './plain.js'
import { layerOf, Scope } from './scope.js'
import type { PlanVariable } from './variables.js'

/**
 * Puts a configuration together from its main file: header, inputs and includes, each included file with its own
 * (lib/gitlab/ci/config/external). Files are merged in the order of the list, the including file over all of them.
 *
 * @param trace takes what was looked at on the way
 * @throws ConfigFault for the first thing that fails
 */
export async function assemble(
  source: string,
  options: CompileOptions,
  findings: Findings,
  budget: MergeBudget,
  trace: AssemblyTrace = { looked: new Set(), includes: [] },
): Promise<MapNode> {
  const assembly = new Assembly(options, findings, budget, trace)
  return assembly.main(source)
}

/** What assembling has looked at: with all of it the same, so is the document. */
export interface AssemblyTrace {
  /** Names of variables that were looked at. */
  looked: Set<string>
  /** Files that were included. */
  includes: IncludedFile[]
  /** The inputs of the main file. */
  inputs?: InputSpecs
}

type Answer = Extract<IncludeAnswer, { ok: true }>

const unfetched = 'could not be fetched'

class Assembly {
  readonly #options: CompileOptions
  readonly #findings: Findings
  readonly #budget: MergeBudget
  readonly #trace: AssemblyTrace
  readonly #scope: Scope
  readonly #entries: IncludeEntries
  readonly #fetched = new Map<string, Promise<IncludeAnswer>>()
  readonly #loaded = new Map<string, LoadedFile>()
  #count = 0
  #bytes = 0

  constructor(options: CompileOptions, findings: Findings, budget: MergeBudget, trace: AssemblyTrace) {
    const { looked } = trace
    this.#trace = trace
    this.#options = options
    this.#findings = findings
    this.#budget = budget
    const variables = options.variables ?? []
    const layer = layerOf(variables)
    const watched = (name: string): PlanVariable | undefined => {
      looked.add(name)
      return layer(name)
    }
    this.#scope = new Scope([watched], variables)
    // What is masked shapes every message.
    for (const { key, masked } of variables) if (masked === true) looked.add(key)
    this.#entries = new IncludeEntries(options, this.#scope, findings)
  }

  async main(source: string): Promise<MapNode> {
    const name = this.#options.file ?? '.gitlab-ci.yml'
    const loaded = this.#load(name, source)
    const given = this.#options.inputs
    if (given !== undefined && Object.keys(given).length > limits.givenInputs) {
      throw new ConfigFault(`a pipeline takes ${limits.givenInputs} inputs at most`, loaded.at)
    }
    const inputs = given === undefined ? undefined : fromPlain(given, loaded.at)
    return this.#file(loaded, inputs, { hasProject: true, trail: [{ name, key: '' }] })
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
      tellInputs: (specs) => {
        if (origin.trail.length === 1) this.#trace.inputs = specs
      },
    })
    return this.#expand(content, origin)
  }

  async #expand(content: MapNode, origin: Origin): Promise<MapNode> {
    const node = content.entries.get('include')?.value
    if (node === undefined) return content
    const own = withoutKey(content, 'include')
    if (isNull(node)) return own
    const inclusions = await this.#inclusions(this.#entries.read(node), origin)
    let merged = makeMap(new Map(), content.at)
    for await (const { inclusion, answer } of this.#answers(inclusions)) {
      merged = deepMerge(merged, await this.#included(inclusion, answer, origin), this.#budget)
    }
    return deepMerge(merged, own, this.#budget)
  }

  async #inclusions(entries: WrittenEntry[], origin: Origin): Promise<Inclusion[]> {
    const inclusions = await this.#entries.resolve(entries, origin, (request) =>
      this.#fetched.has(JSON.stringify(request)),
    )
    this.#count += inclusions.length
    const most = this.#options.maxIncludes ?? limits.includes
    if (this.#count > most) {
      const first = inclusions[Math.max(0, inclusions.length - (this.#count - most))]
      throw this.#fault(`Maximum of ${most} included files is exceeded, nested ones counted`, first?.at ?? 0)
    }
    return inclusions
  }

  /**
   * The files, asked for all at once since most of the time goes by waiting, and given in order, so that it is the same
   * error every time.
   */
  async *#answers(inclusions: readonly Inclusion[]): AsyncGenerator<{ inclusion: Inclusion; answer: Answer }> {
    const answers = inclusions.map(({ request }) => this.#fetch(request))
    for (const [index, inclusion] of inclusions.entries()) {
      const { name, at, integrity } = inclusion
      const answer = await answers[index]
      if (answer === undefined || !answer.ok) {
        throw this.#fault(`included file ${quote(name)}: ${answer?.reason ?? unfetched}`, at)
      }
      if (answer.content.trim() === '') throw this.#fault(`included file ${quote(name)} is empty`, at)
      if (integrity !== undefined && hash(answer.content) !== integrity) {
        throw this.#fault(`included file ${quote(name)}: integrity check failed`, at)
      }
      yield { inclusion, answer }
    }
  }

  #fetch(request: IncludeRequest): Promise<IncludeAnswer> {
    const key = JSON.stringify(request)
    let answer = this.#fetched.get(key)
    if (answer === undefined) {
      answer = this.#ask(request)
      this.#fetched.set(key, answer)
    }
    return answer
  }

  async #ask(request: IncludeRequest): Promise<IncludeAnswer> {
    try {
      return await this.#options.fetchInclude(request)
    } catch {
      return { ok: false, reason: unfetched }
    }
  }

  async #included(inclusion: Inclusion, answer: Answer, origin: Origin): Promise<MapNode> {
    const { request, inputs, name, at } = inclusion
    const step = { name, key: JSON.stringify([request, inputs === undefined ? null : toPlain(inputs)]) }
    const before = origin.trail.findIndex(({ key }) => key === step.key)
    if (before !== -1) {
      const circle = [...origin.trail.slice(before), step].map((one) => one.name).join(' → ')
      throw this.#fault(`included file ${quote(name)} includes itself: ${circle}`, at)
    }
    const { project, ref } = origin
    this.#trace.includes.push({
      request,
      ...(project === undefined ? {} : { project }),
      ...(ref === undefined ? {} : { ref }),
    })
    return this.#file(this.#loadOnce(inclusion, answer), inputs, nextOrigin(request, answer, origin, step))
  }

  /** A file is read once, however often it is included. */
  #loadOnce({ request, name, at }: Inclusion, { content }: Answer): LoadedFile {
    this.#bytes += content.length
    if (this.#bytes > limits.includedBytes) {
      throw this.#fault(`included files have more than ${limits.includedBytes} bytes together`, at)
    }
    const key = JSON.stringify(request)
    let loaded = this.#loaded.get(key)
    if (loaded === undefined) {
      loaded = this.#load(this.#scope.mask(name), content)
      this.#loaded.set(key, loaded)
    }
    return loaded
  }

  /** The inputs that the files of `spec:include` define. */
  async #inputFiles(node: Node, origin: Origin): Promise<{ name: string; content: MapNode }[]> {
    const entries = this.#entries.read(node)
    for (const { entry, node: one } of entries) {
      if (typeof entry === 'string') continue
      const odd = (['template', 'component', 'artifact', 'inputs', 'rules'] as const).filter(
        (key) => entry[key] !== undefined,
      )
      if (odd.length > 0)
        throw new ConfigFault(`unknown keys: ${odd.join(', ')} in spec:include`, one.at, 'spec:include')
    }
    const files: { name: string; content: MapNode }[] = []
    for await (const { inclusion, answer } of this.#answers(await this.#inclusions(entries, origin))) {
      files.push({ name: inclusion.name, content: this.#loadOnce(inclusion, answer).content })
    }
    return files
  }

  #fault(message: string, at: number): ConfigFault {
    return new ConfigFault(this.#scope.mask(message), at, 'include')
  }
}

/** Loaded only where a hash is asked for. */
function hash(content: string): string {
  const { createHash } = createRequire(import.meta.url)('node:crypto') as typeof import('node:crypto')
  return `sha256-${createHash('sha256').update(content).digest('base64')}`
}

function nextOrigin(request: IncludeRequest, answer: Answer, origin: Origin, step: Step): Origin {
  const trail = [...origin.trail, step]
  const { project, ref, component } = answer
  const place = { ...(project === undefined ? {} : { project }), ...(ref === undefined ? {} : { ref }) }
  switch (request.kind) {
    case 'local':
    case 'artifact':
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
