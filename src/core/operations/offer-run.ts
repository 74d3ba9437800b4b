/** What somebody is asked for who runs a pipeline by hand: the inputs of the file's header, and variables that it describes. */
import type { InputOffer, RunOffer } from '../ci-config/compilation.js'
import { configElsewhere } from '../config/config-place.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Project } from '../project.js'
import type { User } from '../store/users.js'

/** `ref`: a branch or tag. Throws `not_found` where it, or the file at it, is not there. */
export async function offerRun(core: Core, project: Project, ref: string, user: User): Promise<RunOffer> {
  const resolved = await core.repositories.resolve(project, ref)
  if (!resolved) throw new SignalboxError('not_found', 'Reference not found')
  return offerAt(core, project, resolved.sha, user)
}

/** The same at a commit. */
export async function offerAt(core: Core, project: Project, sha: string, user: User | null): Promise<RunOffer> {
  const text =
    configElsewhere(project.configPath) ?? (await core.repositories.readFile(project, sha, project.configPath))
  if (text === undefined) throw new SignalboxError('not_found', `${project.configPath} is missing`)
  const compile = async (inputs: Record<string, unknown>) =>
    (await core.configs.compile(project, sha, text, { user, variables: [], outline: true, inputs })).offer
  const offer = await compile({})
  const inputs = offer?.inputs ?? []
  // Without values the file cannot be read on to its variables, whatever they are.
  const variables = inputs.every(isGiven) ? offer?.variables : (await compile(standInsFor(inputs)))?.variables
  return { inputs, variables: variables ?? [] }
}

const isGiven = (input: InputOffer) => input.default !== null

/** Any values for the inputs that must be given. */
export function standInsFor(inputs: readonly InputOffer[]): Record<string, unknown> {
  const ofType: Readonly<Record<string, unknown>> = { number: 0, boolean: false, array: [] }
  const missing = inputs.filter((input) => !isGiven(input))
  return Object.fromEntries(missing.map(({ name, type, options }) => [name, options[0] ?? ofType[type] ?? 'x']))
}
