/** What a file asks for of somebody who runs a pipeline by hand. */
import type { CompileOutcome, RunOffer } from './compilation.js'
import type { CompiledConfig } from './config.js'
import type { InputSpecs } from './keywords/header.js'
import { toPlain } from './plain.js'

/** `specs`: the inputs of the main file; undefined: it has none, or was not read so far. */
export function offerOf(specs: InputSpecs | undefined, outcome: CompileOutcome): RunOffer {
  const inputs = Array.from(specs ?? [], ([name, spec]) => ({
    name,
    type: spec?.type ?? 'string',
    description: spec?.description ?? '',
    default: spec?.default === undefined || spec.default === null ? null : toPlain(spec.default),
    options: spec?.options?.map(toPlain) ?? [],
    regex: spec?.regex ?? null,
  }))
  const prefill = outcome.ok ? (outcome.config as CompiledConfig).prefill : []
  const variables = prefill.flatMap(({ key, value, description, options }) =>
    description === undefined ? [] : [{ key, value, description, ...(options ? { options } : {}) }],
  )
  return { inputs, variables }
}
