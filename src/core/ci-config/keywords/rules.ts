/** `rules` of jobs, workflow and include, and their older relatives `only` and `except`. */
import { limits } from '../limits.js'
import { compileRegex, parseRegexText } from '../regex.js'
import {
  boolean,
  checked,
  choice,
  either,
  keyword,
  list,
  mapped,
  nullable,
  record,
  type Shape,
  text,
  type ValueOf,
} from '../shape.js'
import { sameNeeds } from './needs.js'
import { duration, expression, oneWeek, plainVariables, texts, wholeSeconds } from './parts.js'

const patterns = list(text(), { max: limits.patterns })

const regexp = checked(text({ max: 255 }), (pattern, report) => {
  const compiled = compileRegex(pattern)
  if (compiled instanceof Error) report(`is not an RE2 expression: ${compiled.message}`)
})

/** What `changes` says when it is right. */
export interface Changes {
  paths?: string[]
  regexp?: string
  compareTo?: string
}

const changes = either(
  mapped(patterns, (paths): Changes => ({ paths })),
  mapped(
    record(
      {
        paths: keyword(patterns, 'Globs of files.'),
        regexp: keyword(regexp, 'A regular expression that paths match.'),
        compare_to: keyword(text(), 'The ref to compare with.'),
      },
      { oneOf: ['paths', 'regexp'] },
    ),
    ({ paths, regexp: pattern, compare_to: compareTo }): Changes => ({
      ...(paths === undefined ? {} : { paths }),
      ...(pattern === undefined ? {} : { regexp: pattern }),
      ...(compareTo === undefined ? {} : { compareTo }),
    }),
  ),
)

/** What `exists` says when it is right. */
export interface Exists {
  paths?: string[]
  regexp?: string
  project?: string
  ref?: string
}

const exists = either(
  mapped(text(), (path): Exists => ({ paths: [path] })),
  mapped(patterns, (paths): Exists => ({ paths })),
  mapped(
    record(
      {
        paths: nullable(patterns, 'Globs of files.'),
        regexp: keyword(regexp, 'A regular expression that paths match.'),
        project: keyword(text(), 'The project to look in.'),
        ref: keyword(text(), 'The ref of that project.'),
      },
      { oneOf: ['paths', 'regexp'], requires: { ref: 'project' } },
    ),
    ({ paths, ...value }): Exists => (paths === undefined ? value : { ...value, paths: paths ?? [] }),
  ),
)

const ruleWhen = ['on_success', 'on_failure', 'always', 'never', 'manual', 'delayed'] as const

const clauses = {
  if: keyword(expression(), 'An expression that must hold.'),
  changes: keyword(changes, 'Files of which one must have changed.'),
  exists: keyword(exists, 'Files of which one must exist.'),
}

const rule = checked(
  record({
    ...clauses,
    when: keyword(choice(...ruleWhen), 'When the job starts.'),
    start_in: keyword(wholeSeconds(oneWeek), 'How long a delayed job waits.'),
    allow_failure: keyword(boolean(), 'Whether the job may fail.'),
    variables: keyword(plainVariables, 'Variables of the job if the rule matches.'),
    needs: keyword(sameNeeds, 'Needs of the job if the rule matches.'),
    interruptible: keyword(boolean(), 'Whether the job may be canceled.'),
  }),
  (value, report) => {
    if (value.when === 'delayed' && value.start_in === undefined)
      report("start_in can't be blank with when: delayed", 'when')
    if (value.when !== 'delayed' && value.start_in !== undefined) {
      report('start_in is only allowed with when: delayed', 'start_in')
    }
  },
)

/** A rule of a job. */
export type Rule = ValueOf<typeof rule>

const nested = { nested: limits.nestedLists, min: 1, max: limits.rules, says: 'a list of maps' }

/** The keyword `rules` of jobs: https://docs.gitlab.com/ci/yaml/#rules */
export const rules = list(rule, nested)

/** The keyword `auto_cancel`: https://docs.gitlab.com/ci/yaml/#workflowauto_cancelon_new_commit */
export const autoCancel = record(
  {
    on_new_commit: keyword(
      choice('conservative', 'interruptible', 'none'),
      'What a newer pipeline of the ref cancels in this one.',
    ),
    on_job_failure: keyword(choice('none', 'all'), 'What the first failed job cancels.'),
  },
  { mayBeEmpty: true },
)

const workflowRule = record({
  ...clauses,
  when: keyword(choice('always', 'never'), 'Whether there is a pipeline.'),
  variables: keyword(plainVariables, 'Variables of all jobs if the rule matches.'),
  auto_cancel: keyword(autoCancel, 'Changes to workflow:auto_cancel if the rule matches.'),
  // Taken and without effect, as in the original.
  start_in: keyword(duration(oneWeek)),
  allow_failure: keyword(boolean()),
  needs: keyword(sameNeeds),
  interruptible: keyword(boolean()),
})

/** A rule of `workflow`. */
export type WorkflowRule = ValueOf<typeof workflowRule>

/** The keyword `workflow:rules`: https://docs.gitlab.com/ci/yaml/#workflowrules */
export const workflowRules = list(workflowRule, nested)

const includeRule = record({ ...clauses, when: keyword(choice('always', 'never'), 'Whether the file is included.') })

/** A rule of an entry of `include`. */
export type IncludeRule = ValueOf<typeof includeRule>

/** The keyword `include:rules`: https://docs.gitlab.com/ci/yaml/#includerules */
export const includeRules = list(includeRule, nested)

/** A rule as a file has it. */
export function writtenRule({ if: condition, changes: changed, exists: existing, when }: IncludeRule): object {
  const { compareTo, ...paths } = changed ?? {}
  return {
    ...(condition === undefined ? {} : { if: condition.source }),
    ...(changed === undefined
      ? {}
      : { changes: compareTo === undefined ? paths : { ...paths, compare_to: compareTo } }),
    ...(existing === undefined ? {} : { exists: existing }),
    ...(when === undefined ? {} : { when }),
  }
}

const strings = 'a list of strings or regular expressions'

const refs: Shape<string[]> = {
  ...checked(texts, (names, report) => {
    for (const name of names) {
      const regex = parseRegexText(name.split('@', 1)[0] ?? '')
      const compiled = regex === undefined ? undefined : compileRegex(regex.pattern, regex.flags)
      if (!(compiled instanceof Error)) continue
      report(`must be ${strings}, but ${JSON.stringify(name)} is not an RE2 expression: ${compiled.message}`)
    }
  }),
  expects: strings,
}

/** The keywords `only` and `except`: https://docs.gitlab.com/ci/yaml/deprecated_keywords/#only--except */
export const policy = either(
  mapped(refs, (names) => ({ refs: names })),
  record({
    refs: keyword(refs, 'Branches, tags, kinds of pipelines or regular expressions in slashes.'),
    variables: keyword(list(expression()), 'Expressions of which one must hold.'),
    changes: keyword(patterns, 'Files of which one must have changed.'),
    kubernetes: keyword(choice('active'), 'Needs a cluster.'),
  }),
)

/** What `only` or `except` says when it is right. */
export type Policy = ValueOf<typeof policy>
