/** The header of a file: `spec` with its inputs (lib/gitlab/ci/config/header, lib/ci/inputs). */
import { limits } from '../limits.js'
import { isNull } from '../node.js'
import {
  checked,
  choice,
  entries,
  keyword,
  list,
  mapped,
  node,
  nullable,
  type RecordOf,
  type Report,
  record,
  text,
  type ValueOf,
} from '../shape.js'
import { include } from './include.js'
import { expression } from './parts.js'

/** The types that an input may have: https://docs.gitlab.com/ci/yaml/#specinputstype */
const inputTypes = ['string', 'number', 'boolean', 'array'] as const

const options = checked(list(node(), { max: limits.inputOptions }), (values, report) => {
  if (values.some(isNull)) report('an option must be a value')
})

const inputRule = mapped(
  record({
    if: keyword(expression({ inputs: true }), 'An expression over other inputs that must hold.'),
    options: keyword(options, 'The values to choose from if the rule matches.'),
    default: nullable(node(), 'The value if none is given and the rule matches.'),
  }),
  (rule, report) => {
    if (rule.if === undefined && rule.options === undefined) report('a rule without if must have options')
    if (rule.if !== undefined && rule.options === undefined && rule.default === undefined) {
      report('a rule must have options or default')
    }
    return rule
  },
)

/** A rule that decides options and default of an input. */
export type InputRule = ValueOf<typeof inputRule>

/** What inputs of files and inputs of jobs have in common. */
const inputKeys = {
  type: keyword(choice(...inputTypes), 'Type of the value.'),
  default: nullable(node(), 'The value if none is given.'),
  options: keyword(options, 'The values to choose from.'),
  regex: keyword(text(), 'What a text must match.'),
  description: keyword(text({ scalar: 'integer' }), 'What the value is for.'),
}

type Common = RecordOf<typeof inputKeys>

function checkInput(input: Common, report: Report): void {
  const { type = 'string' } = input
  if (input.options !== undefined && type !== 'string' && type !== 'number') {
    report('options can be used with strings and numbers only', 'options')
  }
  if (input.regex !== undefined && type !== 'string') report('regex can be used with strings only', 'regex')
}

const inputMap = checked(
  record(
    { ...inputKeys, rules: keyword(list(inputRule), 'Options and default that depend on other inputs.') },
    { mayBeEmpty: true },
  ),
  (input, report) => {
    checkInput(input, report)
    if (input.rules !== undefined && (input.options !== undefined || input.default !== undefined)) {
      report("rules can't be used together with options or default", 'rules')
    }
  },
)

/** What a header says of one input. */
export type InputMap = ValueOf<typeof inputMap>

/** Null asks for a text without saying more. */
export const inputSpecs = entries(inputMap, { nullable: true, says: 'unknown input specification: must be a map' })

/** Inputs of one job, expanded by the runner; each must have a default (lib/gitlab/ci/config/entry/job/inputs.rb). */
export const jobInputs = entries(
  checked(record(inputKeys, { mayBeEmpty: true }), (input, report) => {
    checkInput(input, report)
    if (input.default === undefined || isNull(input.default ?? undefined)) report('must have a default')
  }),
  { max: limits.jobInputs, says: 'must be a map' },
)

const componentFields = ['name', 'sha', 'version', 'reference'] as const

/** The keyword `spec`: https://docs.gitlab.com/ci/yaml/#spec */
export const spec = record(
  {
    description: keyword(text({ max: 256 }), 'What the file is for.'),
    component: keyword(list(choice(...componentFields)), 'What the file may learn about the component it is.'),
    include: keyword(include, 'Files with more inputs.'),
    inputs: keyword(inputSpecs, 'Values that the file takes.'),
  },
  { mayBeEmpty: true },
)

/** The first document of a file that has two. */
export const header = record({ spec: nullable(spec, 'Inputs of the file.') })

/** What a file named by `spec:include` holds. */
export const inputsFile = record({ inputs: nullable(inputSpecs, 'Inputs.') })

/** All inputs of a header, by name. */
export type InputSpecs = ValueOf<typeof inputSpecs>
