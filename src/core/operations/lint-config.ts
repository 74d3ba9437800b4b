/** Somebody asks whether a configuration is right, without making a pipeline of it. */

import { canUpdateRef } from '../authorize.js'
import type { IncludedFile, Outline } from '../ci-config/compilation.js'
import type { ConfigError } from '../ci-config/config-error.js'
import type { PipelinePlan } from '../ci-config/planning.js'
import { turnOf } from '../config/config-cache.js'
import { configElsewhere } from '../config/config-place.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { pipelineVariables, userVariables } from '../payload/predefined-variables.js'
import { noSha } from '../pipeline.js'
import type { CommitInfo, Project, ResolvedRef } from '../project.js'
import { isProtected } from '../protection.js'
import { variablesFor } from '../steps/variables-for.js'
import type { User } from '../store/users.js'
import { ruleFacts } from './rule-facts.js'

/** A configuration to check: a text, or the file at a commit. */
export interface LintInput {
  project: Project
  user: User | null
  /** The text; absent: the project's file at the commit. */
  content?: string
  /** Branch, tag or commit where the file and what it includes are read; default: the ref below. */
  contentRef?: string
  /** Branch or tag that a pipeline would be made for; default: the default branch. */
  ref?: string
  /** Also decide the rules, as for a push to the ref: what they refuse is an error then. */
  dryRun?: boolean
}

/** All that can be said of a configuration, right or wrong. */
export interface LintResult {
  errors: ConfigError[]
  warnings: ConfigError[]
  includes: IncludedFile[]
  /** Where the file was read; absent: the project has no commit. */
  sha?: string
  /** Absent if the file is wrong. */
  outline?: Outline
  /** In a dry run, the pipeline that a push would make; absent if it would make none. */
  plan?: PipelinePlan
}

const noCommit: CommitInfo = { sha: noSha, author: '', authorName: '', authorEmail: '', timestamp: '', message: '' }

/** A wrong file is a result. Throws `not_found` for a ref that does not exist, or a project without a file at it. */
export async function lintConfig(core: Core, input: LintInput): Promise<LintResult> {
  const { project, user } = input
  const event = await resolve(core, project, input.ref)
  const content = input.contentRef === undefined ? event : await resolve(core, project, input.contentRef)
  const sha = content?.sha
  const source =
    input.content ??
    configElsewhere(project.configPath) ??
    (sha && (await core.repositories.readFile(project, sha, project.configPath)))
  if (source === undefined) throw new SignalboxError('not_found', `${project.configPath} is missing`)
  const ref = event ?? { name: project.defaultBranch, tag: false, sha: noSha }
  const weak = pipelineVariables({
    project,
    externalUrl: core.externalUrl(),
    source: 'push',
    ref: ref.name,
    tag: ref.tag,
    protected: isProtected(project, ref),
    sha: ref.sha,
    beforeSha: noSha,
    commit: event ? await core.repositories.commit(project, event.sha) : noCommit,
    createdAt: core.clock.now(),
    user,
  })
  // What a text is expanded with comes out in answers, and in requests for what it includes.
  const actor = user === null ? undefined : { user, scopes: new Set<string>() }
  const set = await variablesFor(core, core.store.read, {
    projectId: project.id,
    protected: isProtected(project, ref) && (await canUpdateRef(core.store.read, actor, project, ref)),
    environment: null,
  })
  const variables = [...weak, ...set, ...userVariables(user)]
  const compiled = await core.configs.compile(project, sha, source, { user, variables, outline: true })
  const { warnings, includes = [], outline } = compiled
  const found = { warnings, includes, ...(sha === undefined ? {} : { sha }) }
  if (!compiled.ok || outline === undefined) return { ...found, errors: compiled.ok ? [] : compiled.errors }
  const checked = { ...found, errors: [], outline }
  if (input.dryRun !== true) return checked
  const known = { project, sha: event?.sha, user, changedPaths: async () => undefined }
  const planned = await core.language.plan(
    compiled.config,
    {
      variables,
      strongFrom: weak.length,
      source: 'push',
      ref: ref.name,
      tag: ref.tag,
      protected: isProtected(project, ref),
      defaultBranch: project.defaultBranch,
    },
    (wanted) => ruleFacts(core, known, wanted),
    turnOf(project),
  )
  return planned.ok ? { ...checked, plan: planned.plan } : { ...checked, errors: planned.errors }
}

/** A ref that was asked for must be there; the default branch of an empty project need not. */
async function resolve(core: Core, project: Project, ref: string | undefined): Promise<ResolvedRef | undefined> {
  const resolved = await core.repositories.resolve(project, ref ?? project.defaultBranch)
  if (!resolved && ref !== undefined) throw new SignalboxError('not_found', 'Reference not found')
  return resolved
}
