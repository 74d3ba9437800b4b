/**
 * What follows a push: a pipeline for each branch and tag that it made or moved
 * (https://docs.gitlab.com/ci/pipelines/pipeline_types/#branch-pipeline), and in an empty project the default branch.
 */
import type { PlanVariable } from '../core/ci-config/plan.js'
import type { Core, Log } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { createPipeline } from '../core/operations/create-pipeline.js'
import { followRequestPush } from '../core/operations/follow-request-push.js'
import { followBranches } from '../core/operations/run-merge-train.js'
import type { Pipeline } from '../core/pipeline.js'
import type { Project } from '../core/project.js'
import type { User } from '../core/store/users.js'
import type { RefCommand } from './push-request.js'
import { branchOrTag, isZero } from './ref-name.js'
import type { GitRepositories } from './repositories.js'

export interface Push {
  project: Project
  user: User | null
  /** The refs that the push has changed. */
  changes: readonly RefCommand[]
  /** `git push -o`: https://docs.gitlab.com/topics/git/commit/#push-options-for-gitlab-cicd */
  options: readonly string[]
}

/** GitLab's `PIPELINE_PROCESS_LIMIT`: further branches and tags of one push get no pipeline. */
const pipelineLimit = 4

/** Gives lines for the user who pushes. Never rejects: the push has happened, whatever comes of its pipelines. */
export async function followPush(
  context: { core: Core; repositories: GitRepositories; log: Log },
  push: Push,
): Promise<string[]> {
  const { log } = context
  const lines: string[] = []
  await adoptDefaultBranch(context, push).catch((error: unknown) => {
    log.error({ err: error, project: push.project.id }, 'the default branch of a new project was not set')
  })
  noteBranches(context.core, push)
  const changed = push.changes.filter(({ ref, after }) => branchOrTag(ref) && !isZero(after))
  if (push.options.includes('ci.no_pipeline')) return lines
  const variables = variablesOf(push.options, lines)
  for (const change of changed.slice(0, pipelineLimit)) {
    try {
      for (const pipeline of await pipelinesOf(context, push, change, variables)) {
        lines.push(...describe(context.core, push.project, pipeline))
      }
    } catch (error) {
      // A refusal is about the project (CI/CD is off) or a ref that is gone again: nothing is wrong with us.
      const refused = error instanceof SignalboxError && error.code === 'invalid'
      log[refused ? 'info' : 'error'](
        { err: error, project: push.project.id, ref: change.ref },
        'a push made no pipeline',
      )
    }
  }
  const left = changed.slice(pipelineLimit)
  if (left.length > 0) {
    lines.push(`No pipelines for ${left.length} more refs: a push makes ${pipelineLimit} at most.`)
  }
  return lines
}

/** Merge trains run anew on what was pushed. */
function noteBranches(core: Core, { project, changes }: Push): void {
  if (project.lastRequestIid === 0) return
  const branches = changes.flatMap(({ ref }) =>
    ref.startsWith('refs/heads/') ? [ref.slice('refs/heads/'.length)] : [],
  )
  if (branches.length === 0) return
  void followBranches(core, project.id, branches).catch((error: unknown) =>
    core.log.error({ err: error, project: project.id }, 'the merge trains of a push could not go on'),
  )
}

/** That of the branch or tag, and those of merge requests that come from the branch. */
async function pipelinesOf(
  { core, repositories }: { core: Core; repositories: GitRepositories },
  { project, user, options }: Push,
  { ref, before, after }: RefCommand,
  variables: PlanVariable[],
): Promise<Pipeline[]> {
  const sha = await repositories.peel(project, after)
  // A tag may name a tree or a file.
  if (sha === undefined) return []
  const own = await createPipeline(core, {
    projectId: project.id,
    // In full, so that a branch and a tag of one name are told apart.
    ref,
    source: 'push',
    user,
    variables,
    sha,
    beforeSha: before,
    skip: options.includes('ci.skip'),
    onInvalid: 'keep',
  })
  const { tag, name } = branchOrTag(ref)!
  const theirs = tag || !user || own?.status === 'skipped' ? [] : await followRequestPush(core, project, name, user)
  return own ? [own, ...theirs] : theirs
}

function describe(core: Core, project: Project, pipeline: Pipeline): string[] {
  const url = `${core.externalUrl()}/${project.fullPath}/-/pipelines/${pipeline.id}`
  const ref = pipeline.ref.startsWith('refs/') ? pipeline.ref : `${pipeline.tag ? 'tag' : 'branch'} ${pipeline.ref}`
  if (pipeline.status === 'skipped') return ['', `Pipeline #${pipeline.id} for ${ref} is skipped.`, '']
  if (pipeline.yamlErrors === null) return ['', `Pipeline #${pipeline.id} for ${ref}:`, `  ${url}`, '']
  const [first = ''] = pipeline.yamlErrors.split('\n')
  return ['', `Pipeline #${pipeline.id} for ${ref} has failed: ${printable(first)}`, `  ${url}`, '']
}

/** Without characters that would move the cursor of whoever reads it. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?').slice(0, 300)
}

const variablePrefix = 'ci.variable='

function variablesOf(options: readonly string[], lines: string[]): PlanVariable[] {
  return options
    .filter((option) => option.startsWith(variablePrefix))
    .flatMap((option) => {
      const parts = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(option.slice(variablePrefix.length))
      if (parts) return [{ key: parts[1]!, value: parts[2]! }]
      lines.push('A push option is not understood: write ci.variable="NAME=value".')
      return []
    })
}

/** The first push into an empty project decides its default branch, as on GitLab, unless it has the one that was planned. */
async function adoptDefaultBranch(
  { core, repositories }: { core: Core; repositories: GitRepositories },
  { project, changes }: Push,
): Promise<void> {
  const made = changes.filter(
    ({ ref, before, after }) => ref.startsWith('refs/heads/') && isZero(before) && !isZero(after),
  )
  if (made.length === 0 || repositories.readRef(project, `refs/heads/${project.defaultBranch}`) !== undefined) return
  const branches = await repositories.listBranches(project)
  const first = made.find(({ ref }) => ref === 'refs/heads/master') ?? made[0]!
  if (branches.some((branch) => !made.some(({ ref }) => ref === branch))) return
  const name = branchOrTag(first.ref)!.name
  await core.store.write((tx) =>
    tx.db
      .updateTable('projects')
      .set({ default_branch: name, updated_at: tx.now })
      .where('id', '=', project.id)
      .where('default_branch', '=', project.defaultBranch)
      .execute(),
  )
  repositories.syncHead({ id: project.id, defaultBranch: name })
}
