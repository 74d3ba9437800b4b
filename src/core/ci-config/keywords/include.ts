import { limits } from '../limits.js'
import { boolean, either, keyword, list, mapped, node, record, text, type ValueOf } from '../shape.js'
import { duration, textOrTexts } from './parts.js'
import { includeRules } from './rules.js'

/** Entries of `include` and `trigger:include` (lib/gitlab/ci/config/entry/include.rb). */

export const includeKinds = ['local', 'project', 'remote', 'template', 'component', 'artifact'] as const

export const includeMap = record(
  {
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
    inputs: keyword(node(), 'Values for the inputs of the file.'),
    rules: keyword(includeRules, 'When the file is included.'),
  },
  {
    oneOf: includeKinds,
    requires: {
      project: 'file',
      file: 'project',
      ref: 'project',
      artifact: 'job',
      job: 'artifact',
      integrity: 'remote',
    },
  },
)

export type IncludeMap = ValueOf<typeof includeMap>

const entry = either(text(), includeMap)

export const include = either(
  mapped(text(), (one) => [one]),
  mapped(includeMap, (one) => [one]),
  list(entry),
)

export type IncludeEntry = ValueOf<typeof entry>

export const triggerIncludes = list(entry, { max: limits.triggerIncludes, min: 1 })
