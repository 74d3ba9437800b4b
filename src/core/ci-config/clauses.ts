/** Decides the clauses of rules: `if`, `changes`, `exists`, and those of `only` and `except`. */
import type { CompiledPolicy } from './config.js'
import { expandText } from './expand.js'
import { isTrue } from './expression.js'
import { anyMatches, compileGlob, globSteps, isPattern } from './glob.js'
import type { Condition } from './keywords/parts.js'
import type { Changes, Exists } from './keywords/rules.js'
import { limits } from './limits.js'
import { spend } from './meter.js'
import { compileRegex, parseRegexText } from './regex.js'
import type { Scope } from './scope.js'

/** A clause that cannot be decided: the pipeline fails rather than guess. */
export class ClauseError extends Error {
  override readonly name = 'ClauseError'
}

/** What an event and its commit tell about files. */
export interface FileFacts {
  changedPaths?: readonly string[]
  /** Changed paths by ref to compare with. */
  comparePaths?: Readonly<Record<string, readonly string[]>>
  files?: readonly string[]
  /** Files by `project` or `project@ref`. */
  projectFiles?: Readonly<Record<string, readonly string[]>>
}

/** Answers about files of one event; the same question of the next job is answered from memory. */
export class Files {
  readonly #facts: FileFacts
  readonly #answers = new Map<string, boolean>()
  #existing: Set<string> | undefined

  constructor(facts: FileFacts) {
    this.#facts = facts
  }

  /** True also when nobody knows what changed (lib/gitlab/ci/build/rules/rule/clause/changes.rb). */
  changed(changes: Changes, scope: Scope): boolean {
    const against = changes.compareTo
    const paths = against === undefined ? this.#facts.changedPaths : this.#comparedWith(against, scope)
    if (paths === undefined) return true
    if (changes.regexp !== undefined) return matchesRegex(changes.regexp, paths)
    const patterns = expandAll(changes.paths ?? [], scope)
    return this.#remember(`changes\0${against ?? ''}\0${patterns.join('\0')}`, () => anyMatches(patterns, paths))
  }

  #comparedWith(written: string, scope: Scope): readonly string[] {
    const ref = expandText(written, scope.expanded, 'existing')
    const found = ownList(this.#facts.comparePaths, ref)
    if (found === undefined) throw new ClauseError('rules:changes:compare_to is not a valid ref')
    return found
  }

  /** True also when nobody knows the files (lib/gitlab/ci/build/rules/rule/clause/exists.rb). */
  exist(exists: Exists, scope: Scope): boolean {
    const elsewhere = exists.project === undefined ? undefined : this.#filesOf(exists.project, exists.ref, scope)
    const files = elsewhere ?? this.#facts.files
    if (files === undefined) return true
    if (exists.regexp !== undefined) return matchesRegex(exists.regexp, files)
    const patterns = expandAll(exists.paths ?? [], scope)
    if (elsewhere !== undefined) return anyExists(patterns, elsewhere, new Set(elsewhere))
    if (this.#existing === undefined) spend(files.length / 5)
    this.#existing ??= new Set(files)
    const existing = this.#existing
    return this.#remember(`exists\0${patterns.join('\0')}`, () => anyExists(patterns, files, existing))
  }

  #filesOf(writtenProject: string, writtenRef: string | undefined, scope: Scope): readonly string[] {
    const project = expandText(writtenProject, scope.expanded, 'existing')
    const ref = writtenRef === undefined ? undefined : expandText(writtenRef, scope.expanded, 'existing')
    const found = ownList(this.#facts.projectFiles, ref === undefined ? project : `${project}@${ref}`)
    if (found !== undefined) return found
    if (ref !== undefined && ownList(this.#facts.projectFiles, project) !== undefined) {
      throw new ClauseError(`rules:exists:ref ${scope.mask(ref)} is not a valid ref of project ${scope.mask(project)}`)
    }
    throw new ClauseError(`rules:exists:project ${scope.mask(project)} is not a valid project path, or access denied`)
  }

  #remember(question: string, ask: () => boolean): boolean {
    const known = this.#answers.get(question)
    if (known !== undefined) return known
    const answer = ask()
    this.#answers.set(question, answer)
    return answer
  }
}

function ownList<T>(lists: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return lists !== undefined && Object.hasOwn(lists, key) ? lists[key] : undefined
}

function expandAll(patterns: readonly string[], scope: Scope): string[] {
  return patterns.map((pattern) => expandText(pattern, scope.expanded, 'existing'))
}

function matchesRegex(pattern: string, paths: readonly string[]): boolean {
  const regex = compileRegex(pattern)
  return !(regex instanceof Error) && paths.some((path) => regex.test(path))
}

/** Plain patterns name a file, or with a slash at the end a directory; the others are globs. */
export function anyExists(
  patterns: readonly string[],
  files: readonly string[],
  existing: ReadonlySet<string>,
  limit: number = limits.globComparisons,
): boolean {
  const globs = patterns.filter(isPattern)
  const exact = patterns.filter((pattern) => !isPattern(pattern))
  if (exact.some((path) => existing.has(path))) return true
  const directories = exact.filter((path) => path.endsWith('/') && path.length > 1)
  if (directories.some((directory) => files.some((file) => file.startsWith(directory)))) return true
  if (globs.length * files.length > limit) return true
  spend(files.length * (patterns.length / 20) + globSteps(globs, files))
  return globs.some((pattern) => files.some(compileGlob(pattern)))
}

interface Clauses {
  if?: Condition
  changes?: Changes
  exists?: Exists
}

/** All clauses of a rule; one without clauses always holds. */
export function ruleHolds(rule: Clauses, scope: Scope, files: Files): boolean {
  return failingClause(rule, scope, files) === undefined
}

/** The first clause of a rule that does not hold. */
export function failingClause(rule: Clauses, scope: Scope, files: Files): keyof Clauses | undefined {
  spend(0.5)
  if (rule.if !== undefined && !isTrue(rule.if.tree, scope.lookup)) return 'if'
  if (rule.changes !== undefined && !files.changed(rule.changes, scope)) return 'changes'
  if (rule.exists !== undefined && !files.exist(rule.exists, scope)) return 'exists'
  return undefined
}

/** All clauses of a rule as they were written, for people. */
export function clausesText(rule: Clauses): string {
  return clauses
    .filter((clause) => rule[clause] !== undefined)
    .map((clause) => `${clauseText(rule, clause)}, `)
    .join('')
}

const clauses = ['if', 'changes', 'exists'] as const

/** A clause as it was written, for people. */
export function clauseText(rule: Clauses, clause: keyof Clauses): string {
  if (clause === 'if') return `if: ${rule.if?.source ?? ''}`
  const { paths, regexp } = rule[clause] ?? {}
  return `${clause}: ${regexp ?? (paths ?? []).join(', ')}`
}

/** What `only` and `except` look at besides variables. */
export interface RefFacts {
  source: string
  ref: string
  tag: boolean
  mergeRequest: boolean
  projectPath?: string
}

/** The key of a policy that decides, and what it lists. */
export interface PolicyKey {
  name: keyof CompiledPolicy
  listed: string
}

/** `only`: the first key that does not hold; every one must. */
export function failingKey(policy: CompiledPolicy, event: RefFacts, scope: Scope, files: Files): PolicyKey | undefined {
  return policyKeys(policy, event, scope, files).find(({ holds }) => !holds())
}

/** `except`: the first key that holds; one is enough. */
export function holdingKey(policy: CompiledPolicy, event: RefFacts, scope: Scope, files: Files): PolicyKey | undefined {
  return policyKeys(policy, event, scope, files).find(({ holds }) => holds())
}

function policyKeys(
  policy: CompiledPolicy,
  event: RefFacts,
  scope: Scope,
  files: Files,
): (PolicyKey & { holds: () => boolean })[] {
  const { refs, variables, changes, kubernetes } = policy
  const keys: (PolicyKey & { holds: () => boolean })[] = []
  const add = (name: keyof CompiledPolicy, listed: readonly string[], holds: () => boolean): void => {
    keys.push({ name, listed: listed.join(', '), holds })
  }
  spend(1 + (refs?.length ?? 0))
  if (refs !== undefined) add('refs', refs, () => refs.some((ref) => matchesRef(ref, event)))
  if (variables !== undefined) {
    const sources = variables.map(({ source }) => source)
    add('variables', sources, () => variables.some(({ tree }) => isTrue(tree, scope.lookup)))
  }
  if (changes !== undefined) add('changes', changes, () => files.changed({ paths: changes }, scope))
  if (kubernetes !== undefined) {
    add('kubernetes', ['active'], () => scope.lookup('CI_KUBERNETES_ACTIVE') === 'true')
  }
  return keys
}

/**
 * `PATTERN@project`: a kind of pipeline by its source, `branches`, `tags`, a ref or a regular expression
 * (lib/gitlab/ci/build/policy/refs.rb). A merge request pipeline is for neither a branch nor a tag.
 */
function matchesRef(written: string, event: RefFacts): boolean {
  const split = written.indexOf('@')
  const pattern = split === -1 ? written : written.slice(0, split)
  if (split !== -1 && written.slice(split + 1) !== event.projectPath) return false
  if (!event.mergeRequest) {
    if (pattern === (event.tag ? 'tags' : 'branches')) return true
    const regex = parseRegexText(pattern)
    const compiled = regex === undefined ? undefined : compileRegex(regex.pattern, regex.flags)
    if (compiled === undefined ? pattern === event.ref : !(compiled instanceof Error) && compiled.test(event.ref)) {
      return true
    }
  }
  const source = event.source.replace(/_event$/, '')
  return pattern === source || pattern === (source === 'push' ? 'pushes' : `${source}s`)
}
