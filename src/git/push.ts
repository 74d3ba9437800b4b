/**
 * What follows a push: a pipeline for each branch and tag that it made or moved
 * (https://docs.gitlab.com/ci/pipelines/pipeline_types/#branch-pipeline), and in an empty project the default branch.
 */
import type { PlanVariable } from '../core/ci-config/variables.js'
import type { Core } from '../core/core.js'
import { eachSafely } from '../core/each-safely.js'
import { SignalboxError } from '../core/errors.js'
import type { Log } from '../core/log.js'
import { createPipeline } from '../core/operations/create-pipeline.js'
import { followRequestPush } from '../core/operations/follow-request-push.js'
import { followBranches } from '../core/operations/run-merge-train.js'
import type { Pipeline } from '../core/pipeline.js'
import type { Project } from '../core/project.js'
import { findProject, replaceDefaultBranch } from '../core/store/projects.js'
import {
  adoptPushes,
  countAttempt,
  findPush,
  listPushes,
  type PendingRef,
  type PushedRef,
  type PushRow,
  pendingOf,
} from '../core/store/pushes.js'
import { findUser, type User } from '../core/store/users.js'
import type { Tx } from '../core/store/write.js'
import { decideLeft, PushWork, pipelineLimit, withPipelines } from './push-record.js'
import { branchOrTag, isZero } from './ref-name.js'
import type { GitRepositories } from './repositories.js'

export interface Push {
  project: Project
  user: User | null
  /** The refs that the push has changed. */
  changes: readonly PushedRef[]
  /** `git push -o`: https://docs.gitlab.com/topics/git/commit/#push-options-for-gitlab-cicd */
  options: readonly string[]
}

export interface PushContext {
  core: Core
  repositories: GitRepositories
  log: Log
}

/** How often a pipeline is tried that fails by a fault of ours. */
const mostAttempts = 5

/**
 * `id`: the row of what is to be done, if there is any. Returns lines for the user who pushes. Never rejects: the push has
 * happened, and what could not be done about it now is done later.
 */
export async function followPush(context: PushContext, push: Push, id: number | undefined): Promise<string[]> {
  const { core, log } = context
  const lines: string[] = []
  await adoptDefaultBranch(context, push).catch((error: unknown) => {
    log.error({ err: error, project: push.project.id }, 'the default branch of a new project was not set')
  })
  noteBranches(core, push)
  if (id === undefined) return lines
  try {
    const row = await findPush(core.store.read, id)
    if (row) await makePipelines(context, push, row, lines)
  } catch (error) {
    log.error({ err: error, project: push.project.id, push: id }, 'the pipelines of a push could not be made')
    lines.push(...notYet(error))
  }
  const more = withPipelines(push.changes).length - pipelineLimit
  if (more > 0) lines.push(`No pipelines for ${more} more refs: a push makes ${pipelineLimit} at most.`)
  return lines
}

/** One thing after the other, each taken off the row as it is done. */
async function makePipelines(context: PushContext, push: Push, row: PushRow, lines: string[]): Promise<void> {
  const { core, log } = context
  const variables = variablesOf(push.options, lines)
  const work = new PushWork(core, row.id, pendingOf(row), row.pending ?? '')
  for (let next = work.left[0]; next; next = work.left[0]) {
    try {
      const made = await (next.step === 'own'
        ? own(context, push, work, next, variables)
        : theirs(core, push, work, next))
      for (const pipeline of made) lines.push(...describe(core, push.project, pipeline))
    } catch (error) {
      const { code } = SignalboxError.from(error)
      if (code === 'conflict') return
      if (code === 'unavailable') throw error
      // A refusal is about the project (CI/CD is off) or a ref that is gone again: nothing is wrong with us.
      const refused = code === 'invalid' || code === 'not_found'
      if (!refused && row.attempts < mostAttempts) {
        await core.store.write((tx) => countAttempt(tx, row.id))
        throw error
      }
      const fields = { err: error, project: push.project.id, ref: next.ref }
      log[refused ? 'info' : 'error'](fields, 'a push made no pipeline')
      await work.moveOn(undefined)
    }
  }
}

/** What is said where the push is done and its pipelines are not. */
export function notYet(error: unknown): string[] {
  const { code, message } = SignalboxError.from(error)
  const why = code === 'unavailable' ? message : 'internal error'
  return [
    '',
    `The push is accepted, but its pipelines could not be made yet: ${why}.`,
    'They follow by themselves.',
    '',
  ]
}

/** Merge trains run anew on what was pushed. */
function noteBranches(core: Core, { project, changes }: Push): void {
  if (project.lastRequestIid === 0) return
  const branches = changes.flatMap(({ ref }) =>
    ref.startsWith('refs/heads/') ? [ref.slice('refs/heads/'.length)] : [],
  )
  if (branches.length === 0) return
  followBranches(core, project.id, branches).catch((error: unknown) =>
    core.log.error({ err: error, project: project.id }, 'the merge trains of a push could not go on'),
  )
}

/** The pipeline of the branch or tag. */
async function own(
  { core, repositories }: PushContext,
  { project, user, options }: Push,
  work: PushWork,
  change: PendingRef,
  variables: PlanVariable[],
): Promise<Pipeline[]> {
  const { ref, before, after } = change
  const sha = await repositories.peel(project, after)
  const skip = options.includes('ci.skip')
  const next: PendingRef | undefined = branchOrTag(ref)?.tag || !user ? undefined : { ...change, step: 'requests' }
  // A tag may name a tree or a file.
  const pipeline =
    sha === undefined
      ? undefined
      : await createPipeline(core, {
          projectId: project.id,
          // In full, so that a branch and a tag of one name are told apart.
          ref,
          source: 'push',
          user,
          variables,
          sha,
          beforeSha: before,
          skip,
          onInvalid: 'keep',
          alongside: (tx) => work.move(tx, next),
        })
  if (!pipeline) await work.moveOn(sha === undefined ? undefined : next)
  else if (pipeline.status === 'skipped' && next) await work.moveOn(undefined)
  return pipeline ? [pipeline] : []
}

/** Those of the merge requests that come from the branch. */
async function theirs(core: Core, { project, user }: Push, work: PushWork, change: PendingRef): Promise<Pipeline[]> {
  const { name } = branchOrTag(change.ref)!
  const { done } = change
  const alongside = (tx: Tx, requestId: number) =>
    work.move(tx, { ...work.left[0]!, done: [...work.left[0]!.done, requestId] })
  const made = user ? await followRequestPush(core, project, name, user, { done, alongside }) : []
  await work.moveOn(undefined)
  return made
}

/**
 * Goes on with the pushes of processes that are gone, and with those whose pipelines could not be made; `live` are those
 * that are being received or followed. Returns how many there were.
 */
export async function followPushesLeft(context: PushContext, live: ReadonlySet<number>): Promise<number> {
  const { core, repositories, log } = context
  const { read } = core.store
  // Where the folder is a node's own, nobody else can follow its pushes.
  if (core.settings.sharedRepositories && core.nodeState.onDuty(core.clock.now()))
    await core.store.write((tx) => adoptPushes(tx, core.node))
  const ids = new Set((await listPushes(read, { node: core.node })).filter(({ id }) => !live.has(id)).map(projectOf))
  let done = 0
  for (const projectId of ids) {
    const project = await findProject(read, projectId)
    if (!project) continue
    await decideLeft(core, projectId, live, (ref) => repositories.readRef(project, ref))
    const left = (await listPushes(read, { node: core.node, projectId })).filter(
      ({ id, pending }) => pending !== null && !live.has(id),
    )
    done += await eachSafely(log, 'following a push', left, async (row) => {
      const user = row.userId === null ? undefined : await findUser(read, row.userId)
      const push = { project, user: user ?? null, changes: pendingOf(row), options: row.options }
      await adoptDefaultBranch(context, push)
      await makePipelines(context, push, row, [])
    })
  }
  return done
}

const projectOf = ({ projectId }: PushRow) => projectId

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
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, '?').slice(0, 300)
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
  await core.store.write((tx) => replaceDefaultBranch(tx, project, name))
  repositories.syncHead({ id: project.id, defaultBranch: name })
}
