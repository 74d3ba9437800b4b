/**
 * A project runs its default branch whenever a pipeline of a tag of another project succeeds.
 * Rules: https://docs.gitlab.com/ci/pipelines/#trigger-a-pipeline-when-an-upstream-project-is-rebuilt-deprecated
 */

import { can } from '../authorize.js'
import type { Core } from '../core.js'
import { eachSafely } from '../each-safely.js'
import { SignalboxError } from '../errors.js'
import { getPipeline } from '../store/pipelines.js'
import { findProject, getProject } from '../store/projects.js'
import {
  deleteSubscribedRun,
  deleteSubscription,
  insertSubscription,
  listSubscribedRuns,
  listSubscriptions,
  type SubscribedRun,
  type Subscription,
} from '../store/subscriptions.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { createPipeline } from './create-pipeline.js'

/** GitLab's limit, of either side. */
const mostSubscriptions = 2

/**
 * Throws `not_found`; `conflict` for one that is there already; `invalid` for a project's own tags, one too many, and for a
 * circle: a project that runs, directly or through others, for this one.
 */
export function subscribeProject(
  core: Core,
  input: { projectId: number; upstreamId: number; userId: number },
): Promise<Subscription> {
  const { projectId, upstreamId } = input
  return core.store.write(async (tx) => {
    for (const id of [projectId, upstreamId]) await getProject(tx, id)
    const own = await listSubscriptions(tx, { projectId })
    if (own.some((one) => one.upstreamId === upstreamId)) {
      throw new SignalboxError('conflict', 'the project is subscribed to this one already')
    }
    if (own.length >= mostSubscriptions || (await listSubscriptions(tx, { upstreamId })).length >= mostSubscriptions) {
      throw new SignalboxError('invalid', `a project has ${mostSubscriptions} subscriptions at most, of either side`)
    }
    if (await runsFor(tx, upstreamId, projectId)) {
      throw new SignalboxError('invalid', 'the projects would start each other in a circle')
    }
    return insertSubscription(tx, input)
  })
}

/** Whether a project is, or is subscribed to what is in the end subscribed to, another. */
async function runsFor(tx: Tx, projectId: number, other: number): Promise<boolean> {
  const seen = new Set<number>()
  for (let level = [projectId]; level.length > 0; ) {
    if (level.includes(other)) return true
    const next: number[] = []
    for (const id of level) {
      seen.add(id)
      next.push(...(await listSubscriptions(tx, { projectId: id })).map((one) => one.upstreamId))
    }
    level = next.filter((id) => !seen.has(id))
  }
  return false
}

/** Throws `not_found`. */
export async function unsubscribeProject(core: Core, input: { projectId: number; id: number }): Promise<void> {
  const there = await core.store.write((tx) => deleteSubscription(tx, input.projectId, input.id))
  if (!there) throw new SignalboxError('not_found', `the project has no subscription ${input.id}`)
}

/**
 * Makes the pipelines that successes have asked for, all or these; where one cannot be made for the moment, it is left for
 * the next time. Returns how many were made.
 */
export async function runSubscribers(core: Core, only?: readonly number[]): Promise<number> {
  const busy = core.memory.subscribedRuns
  const runs = await listSubscribedRuns(core.store.read)
  const wanted = runs.filter((run) => (only === undefined || only.includes(run.id)) && !busy.has(run.id))
  let made = 0
  await eachSafely(core.log, 'running a subscribed project', wanted, async (run) => {
    busy.add(run.id)
    try {
      if (await runFor(core, run)) made++
    } catch (error) {
      if (SignalboxError.from(error).code === 'unavailable') throw error
      core.log.info({ err: error, project: run.projectId }, 'a subscription made no pipeline')
    } finally {
      busy.delete(run.id)
    }
    await core.store.write((tx) => deleteSubscribedRun(tx, run.id))
  })
  return made
}

/** Whoever has subscribed must still be allowed to start pipelines here, and to see those there. */
async function runFor(core: Core, { id, projectId, userId, upstreamPipelineId }: SubscribedRun): Promise<boolean> {
  const { read } = core.store
  const [project, user] = [await findProject(read, projectId), await findUser(read, userId)]
  const upstream = await getPipeline(read, upstreamPipelineId)
  const source = await findProject(read, upstream.projectId)
  const actor = user?.state === 'active' ? { user, scopes: new Set<string>() } : undefined
  const may =
    project && source && (await can(core, actor, 'operate', project)) && (await can(core, actor, 'read', source))
  if (!may) {
    core.log.info({ project: projectId, user: userId }, 'a subscription is left out: its user may not any more')
    return false
  }
  const pipeline = await createPipeline(core, {
    projectId,
    ref: project.defaultBranch,
    source: 'pipeline',
    user: user!,
    predefined: [
      { key: 'CI_UPSTREAM_PROJECT_ID', value: String(upstream.projectId), raw: true },
      { key: 'CI_UPSTREAM_PIPELINE_ID', value: String(upstream.id), raw: true },
    ],
    onInvalid: 'keep',
    // A crash leaves no run that has its pipeline.
    alongside: (tx) => deleteSubscribedRun(tx, id),
  })
  return pipeline !== undefined
}
