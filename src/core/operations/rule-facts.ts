/** What the rules of a configuration ask about files, looked up before they are decided. */

import { readableProject } from '../authorize.js'
import type { FactsWanted } from '../ci-config/facts-wanted.js'
import type { RuleFacts } from '../ci-config/language.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Project, ResolvedRef } from '../project.js'
import type { User } from '../store/users.js'

/** The commit, and who looks at it. */
export interface RuleFactsInput {
  project: Project
  /** Absent: the project has no commit, and so no files. */
  sha: string | undefined
  /** Whose rights count in other projects. */
  user: User | null
  /** What the event changed; undefined when unknown. */
  changedPaths: () => Promise<string[] | undefined>
}

/** Costs nothing for what no rule mentions. A ref or project that is not there is left out, which rules tell as an error. */
export async function ruleFacts(core: Core, input: RuleFactsInput, wanted: FactsWanted): Promise<RuleFacts> {
  const { project, sha } = input
  const facts: RuleFacts = {}
  if (wanted.changedPaths) {
    const paths = await input.changedPaths()
    if (paths !== undefined) facts.changedPaths = paths
  }
  if (wanted.files) facts.files = sha === undefined ? [] : await core.repositories.listFiles(project, sha)
  if (wanted.compareTo.length > 0) facts.comparePaths = await comparePaths(core, input, wanted.compareTo)
  if (wanted.projects.length > 0) facts.projectFiles = await projectFiles(core, input.user, wanted.projects)
  return facts
}

async function comparePaths(core: Core, { project, sha }: RuleFactsInput, refs: readonly string[]) {
  const paths: Record<string, string[]> = Object.create(null)
  for (const ref of refs) {
    const other = sha === undefined ? undefined : await findCommit(core, project, ref)
    if (other !== undefined) paths[ref] = await core.repositories.changedSince(project, other, sha!)
  }
  return paths
}

async function projectFiles(core: Core, user: User | null, wanted: readonly { project: string; ref?: string }[]) {
  const files: Record<string, string[]> = Object.create(null)
  for (const { project: path, ref } of wanted) {
    const project = await readableProject(core, path, user)
    if (!project) continue
    const resolved = await resolve(core, project, ref ?? project.defaultBranch)
    if (resolved) {
      files[ref === undefined ? path : `${path}@${ref}`] = await core.repositories.listFiles(project, resolved.sha)
    }
    // That the project is there is known from this, and so which of the two is wrong.
    if (ref !== undefined) files[path] ??= []
  }
  return files
}

async function resolve(core: Core, project: Project, ref: string): Promise<ResolvedRef | undefined> {
  return unlessWrong(core.repositories.resolve(project, ref))
}

/** `compare_to` takes a shortened commit id too: https://docs.gitlab.com/ci/yaml/#ruleschangescompare_to */
async function findCommit(core: Core, project: Project, ref: string): Promise<string | undefined> {
  return unlessWrong(core.repositories.browser.findCommit(project, ref))
}

/** A ref that is both a branch and a tag is no valid one either. */
async function unlessWrong<T>(found: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await found
  } catch (error) {
    if (error instanceof SignalboxError && (error.code === 'invalid' || error.code === 'not_found')) return undefined
    throw error
  }
}
