/** Entries of `include` and `trigger:include` (lib/gitlab/ci/config/entry/include.rb). */
import { limits } from '../limits.js'
import {
  boolean,
  either,
  flattened,
  keyword,
  list,
  mapped,
  node,
  record,
  type Shape,
  text,
  type ValueOf,
} from '../shape.js'
import { duration, inputValues, textOrTexts } from './parts.js'
import { includeRules, writtenRule } from './rules.js'

/** The kinds of entries; each has exactly one of these keys. */
export const includeKinds = ['local', 'project', 'remote', 'template', 'component', 'artifact'] as const

/** @param inputs values that stay as the document has them, for typed inputs, or become plain data */
function entryKeys<T>(inputs: Shape<T>) {
  return {
    local: keyword(text(), 'A file of this repository.'),
    project: keyword(text({ filled: true }), 'A project whose files are included.'),
    file: keyword(textOrTexts, 'Files of that project.'),
    ref: keyword(text(), 'Branch, tag or commit of that project.'),
    remote: keyword(text(), 'A file on the web.'),
    integrity: keyword(
      text({ pattern: /^sha256-[A-Za-z0-9+/]{43}=$/, says: 'sha256- and a base64 hash' }),
      'What the file on the web must hash to.',
    ),
    cache: keyword(either(boolean(), duration()), 'How long the file on the web is kept.'),
    template: keyword(text(), 'A file that comes with the product.'),
    component: keyword(text(), 'A component with its version.'),
    artifact: keyword(text(), 'A file that an earlier job made.'),
    job: keyword(text(), 'The job that made it.'),
    inputs: keyword(inputs, 'Values for the inputs of the file.'),
    rules: keyword(includeRules, 'When the file is included.'),
  }
}

const together = {
  oneOf: includeKinds,
  requires: {
    project: 'file',
    file: 'project',
    ref: 'project',
    artifact: 'job',
    job: 'artifact',
    integrity: 'remote',
    cache: 'remote',
  },
}

const includeMap = record(entryKeys(node()), together)

/** An entry that is written as a map. */
export type IncludeMap = ValueOf<typeof includeMap>

const entry = either(text(), includeMap)

/** The keyword `include`: https://docs.gitlab.com/ci/yaml/#include */
export const include = either(
  mapped(text(), (one) => [one]),
  mapped(includeMap, (one) => [one]),
  list(entry),
)

/** An entry of `include`: a path or address, or a map. */
export type IncludeEntry = ValueOf<typeof entry>

/** Entries of a trigger stay as written: they are the includes of the file that the child pipeline has. */
const triggerEntry = mapped(record(entryKeys(inputValues), together), ({ rules, ...entry }) =>
  rules === undefined ? entry : { ...entry, rules: rules.map(writtenRule) },
)

/** What makes a child pipeline: one text, one entry or a few. */
export const triggerInclude = either(
  text({ filled: true }),
  triggerEntry,
  list(either(text(), triggerEntry), { ...flattened, max: limits.triggerIncludes, maxOfOwn: true, min: 1 }),
)
