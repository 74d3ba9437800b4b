/** A part of assembling: the header of a file, its inputs, and the content with their values in it. */
import { ConfigFault } from './fault.js'
import { type Findings, StopCompilation } from './findings.js'
import type { Origin } from './include-entries.js'
import { resolveInputs } from './inputs.js'
import { interpolate } from './interpolate.js'
import { header as headerShape, type InputSpecs, inputsFile } from './keywords/header.js'
import type { LoadedFile } from './load.js'
import { isNull, type MapNode, makeScalar, type Node, quote, type ScalarNode } from './node.js'
import { validate } from './validate.js'
import type { PlanVariable } from './variables.js'

/** What reading a header needs, and where it reports what is wrong. */
export interface HeaderContext {
  findings: Findings
  origin: Origin
  variable: (name: string) => PlanVariable | undefined
  /** Is told the inputs that the file takes. */
  tellInputs?: (specs: InputSpecs) => void
  /** Returns the files that a `spec:include` names. */
  fetchInputs: (node: Node) => Promise<{ name: string; content: MapNode }[]>
}

/**
 * Reads the header of a file, gives its inputs their values and puts them into the content. A file without a header
 * keeps `$[[ … ]]` as text and takes no inputs.
 *
 * @param given the `inputs` of whoever includes the file
 * @throws ConfigFault for inputs that are unknown, missing or of the wrong kind
 */
export async function readHeader(
  loaded: LoadedFile,
  given: Node | undefined,
  context: HeaderContext,
): Promise<MapNode> {
  const { header, content, at } = loaded
  if (given !== undefined && given.kind !== 'map' && !isNull(given)) {
    throw new ConfigFault('inputs must be a map', given.at, 'inputs')
  }
  const argumentsGiven = given?.kind === 'map' ? given : undefined
  if (header === undefined) {
    if (argumentsGiven !== undefined && argumentsGiven.entries.size > 0) {
      const name = context.findings.sources.nameOf(at)
      throw new ConfigFault(`given inputs are not defined in the spec section of ${name}`, argumentsGiven.at, 'inputs')
    }
    return content
  }
  const spec = validate(headerShape, header, 'header', context.findings)?.spec
  if (spec === undefined) throw new StopCompilation()
  const includes = specNode(header)?.entries.get('include')?.value
  if (!isNull(includes) && context.origin.isComponent === true) {
    throw new ConfigFault('spec:include may not be used in a component', header.at, 'spec:include')
  }
  const specs: InputSpecs = new Map()
  if (includes !== undefined && !isNull(includes)) await addIncluded(specs, includes, context)
  addSpecs(specs, spec?.inputs ?? new Map(), header.at)
  context.tellInputs?.(specs)
  const { values, problems } = resolveInputs(specs, argumentsGiven, at)
  const [first] = problems
  if (first !== undefined) {
    const told = problems.slice(0, 3).map(({ message }) => message)
    throw new ConfigFault(told.join(', '), first.at ?? argumentsGiven?.at ?? header.at, 'inputs')
  }
  const component = new Map<string, Node>(
    (spec?.component ?? []).map((field) => [field, componentField(context.origin, field, header.at)]),
  )
  return interpolate(content, { inputs: values, component, variable: context.variable })
}

function specNode(header: MapNode): MapNode | undefined {
  const node = header.entries.get('spec')?.value
  return node?.kind === 'map' ? node : undefined
}

async function addIncluded(specs: InputSpecs, includes: Node, context: HeaderContext): Promise<void> {
  for (const { name, content } of await context.fetchInputs(includes)) {
    const before = context.findings.met
    const file = validate(inputsFile, content, `spec:include ${name}`, context.findings)
    if (context.findings.met > before) throw new StopCompilation()
    addSpecs(specs, file?.inputs ?? new Map(), content.at)
  }
}

function addSpecs(specs: InputSpecs, more: InputSpecs, at: number): void {
  const twice = [...more.keys()].filter((name) => specs.has(name))
  if (twice.length > 0)
    throw new ConfigFault(`inputs defined more than once: ${twice.map(quote).join(', ')}`, at, 'spec:inputs')
  for (const [name, spec] of more) specs.set(name, spec)
}

function componentField(origin: Origin, field: 'name' | 'sha' | 'version' | 'reference', at: number): ScalarNode {
  return makeScalar(origin.component?.[field] ?? null, at)
}
