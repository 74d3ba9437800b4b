/** Somebody asks whether a configuration is right, without making a pipeline of it. */
import type { CiConfig, ConfigError, PipelinePlan } from '../ci-config/plan.js'
import { planPipeline } from '../ci-config/plan-pipeline.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { noSha } from '../pipeline.js'
import { pipelineVariables, userVariables } from '../predefined-variables.js'
import type { CommitInfo, Project } from '../project.js'
import type { User } from '../store/users.js'

export interface LintInput {
  project: Project
  user: User | null
  /** The text; absent: the project's file at the ref. */
  content?: string
  /** Branch, tag or commit for included files and rules; default: the default branch. */
  ref?: string
  /** Also decide the rules, as for a push to the ref: what they refuse is an error then. */
  dryRun?: boolean
}

export interface LintResult {
  errors: ConfigError[]
  warnings: ConfigError[]
  /** The compiled file; absent if it is wrong. */
  config?: CiConfig
  /** The pipeline that a push would make; absent if it would make none. */
  plan?: PipelinePlan
}

const noCommit: CommitInfo = { sha: noSha, author: '', authorName: '', authorEmail: '', timestamp: '', message: '' }

/** A wrong file is a result. Throws `not_found` for a ref that does not exist, or a project without a file at it. */
export async function lintConfig(core: Core, input: LintInput): Promise<LintResult> {
  const { project, user } = input
  const ref = input.ref ?? project.defaultBranch
  const resolved = await core.repositories.resolve(project, ref)
  if (!resolved && input.ref !== undefined) throw new SignalboxError('not_found', 'Reference not found')
  const sha = resolved?.sha
  const source = input.content ?? (sha && (await core.repositories.readFile(project, sha, project.configPath)))
  if (source === undefined) throw new SignalboxError('not_found', `${project.configPath} is missing`)
  const isProtected = ref === project.defaultBranch && resolved?.tag !== true
  const weak = pipelineVariables({
    project,
    externalUrl: core.externalUrl(),
    source: 'push',
    ref,
    tag: resolved?.tag ?? false,
    protected: isProtected,
    sha: sha ?? noSha,
    beforeSha: noSha,
    commit: sha ? await core.repositories.commit(project, sha) : noCommit,
    createdAt: core.clock.now(),
    user,
  })
  const variables = [...weak, ...userVariables(user)]
  const compiled = await core.configs.compile(project, sha, source, variables)
  if (!compiled.ok) return { errors: compiled.errors, warnings: compiled.warnings }
  const planned = planPipeline(compiled.config, {
    source: 'push',
    ref,
    tag: resolved?.tag ?? false,
    protected: isProtected,
    defaultBranch: project.defaultBranch,
    variables,
    strongFrom: weak.length,
  })
  const { config, warnings } = compiled
  if (planned.ok) return { errors: [], warnings, config, plan: planned.plan }
  return { errors: input.dryRun ? planned.errors : [], warnings, config }
}
