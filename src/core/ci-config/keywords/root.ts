/** The keywords at the top of a file (lib/gitlab/ci/config/entry/root.rb). Every other key there names a job. */
import { limits } from '../limits.js'
import { keyword, list, record, text } from '../shape.js'
import { inheritable } from './job.js'
import { globalVariables } from './parts.js'
import { autoCancel, workflowRules } from './rules.js'

/** The keyword `stages`: https://docs.gitlab.com/ci/yaml/#stages */
export const stages = list(text(), { nested: limits.nestedLists, says: 'a list of strings' })

/** The keyword `workflow`: https://docs.gitlab.com/ci/yaml/#workflow */
export const workflow = record(
  {
    rules: keyword(workflowRules, 'When there is a pipeline at all.'),
    name: keyword(text({ max: limits.nameCharacters }), 'Name of the pipeline.'),
    auto_cancel: keyword(autoCancel, 'What cancels jobs of the pipeline.'),
  },
  { mayBeEmpty: true },
)

/** The keyword `default`: https://docs.gitlab.com/ci/yaml/#default */
export const defaults = record(inheritable, { mayBeEmpty: true })

/** Keywords that may stand at the top in place of under `default`. */
export const globalDefaults = ['image', 'services', 'cache', 'before_script', 'after_script'] as const

/** The keywords that are no names of jobs. */
export const rootKeys = {
  default: keyword(defaults, 'Defaults of all jobs.'),
  stages: keyword(stages, 'The stages, in order.'),
  variables: keyword(globalVariables, 'Variables of all jobs.'),
  workflow: keyword(workflow, 'When there is a pipeline at all.'),
  image: inheritable.image,
  services: inheritable.services,
  cache: inheritable.cache,
  before_script: inheritable.before_script,
  after_script: inheritable.after_script,
}

/** Names that no job may have (lib/gitlab/ci/config/entry/root.rb: reserved nodes; `true`, `false` and `nil`). */
export const reservedNames: ReadonlySet<string> = new Set([
  'image',
  'services',
  'stages',
  'before_script',
  'after_script',
  'variables',
  'cache',
  'include',
  'default',
  'workflow',
  'true',
  'false',
  'nil',
])
