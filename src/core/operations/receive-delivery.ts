/**
 * A forge tells what has happened to a mirrored repository: kept first, answered, and then worked on. A delivery that comes
 * twice is one; one whose repository cannot be fetched for the moment is tried again.
 */
import { can } from '../authorize.js'
import type { Core } from '../core.js'
import type { Delivery, DeliveryEvent } from '../delivery.js'
import { eachSafely } from '../each-safely.js'
import { SignalboxError } from '../errors.js'
import { requestVariables } from '../payload/external-request.js'
import type { Pipeline } from '../pipeline.js'
import {
  claimDelivery,
  deleteOldDeliveries,
  findDeliverySecret,
  insertDelivery,
  listWaitingDeliveries,
  saveDelivery,
} from '../store/deliveries.js'
import { wantStatus } from '../store/forge-statuses.js'
import { findConnection } from '../store/forges.js'
import type { RequestEvent } from '../store/fork-requests.js'
import { getProject } from '../store/projects.js'
import { findUser, type User } from '../store/users.js'
import { followRepository } from './check-connection.js'
import { type CreatePipelineInput, createPipeline } from './create-pipeline.js'
import { fetchMirror } from './fetch-mirror.js'
import { receiveForkRequest } from './run-fork-request.js'

const keptMs = 7 * 24 * 3_600_000
/** Longer than a fetch may take: whoever works on a delivery has it for 15 minutes. */
const claimMs = 15 * 60_000
const mostAttempts = 5

/** A delivery that has come, as it is told to its sender and found again. */
export type ReceivedDelivery = Pick<Delivery, 'projectId' | 'forge' | 'forgeId' | 'event'>

/**
 * Keeps the delivery and works on it after the answer. `known`: it has come before, and nothing is done again. Throws
 * `invalid` for a project that mirrors nothing.
 */
export function receiveDelivery(core: Core, hook: ReceivedDelivery): Promise<{ delivery: Delivery; known: boolean }> {
  return core.store.write(async (tx) => {
    const project = await getProject(tx, hook.projectId)
    if (project.mirrored === 0) throw new SignalboxError('invalid', 'the project mirrors no repository')
    await deleteOldDeliveries(tx, project.id, tx.now - keptMs)
    const kept = await insertDelivery(tx, hook)
    if (!kept.known) {
      tx.afterCommit(() => {
        workOnDelivery(core, kept.delivery.id).catch((error) =>
          core.log.error({ err: error, delivery: kept.delivery.id }, 'a delivery could not be worked on'),
        )
      })
    }
    return kept
  })
}

/** Does what a delivery that waits asks for. Safe to repeat. */
export async function workOnDelivery(core: Core, id: number): Promise<void> {
  const delivery = await core.store.write((tx) => claimDelivery(tx, id, tx.now + claimMs))
  if (!delivery) return
  const save = (outcome: Parameters<typeof saveDelivery>[2]) => core.store.write((tx) => saveDelivery(tx, id, outcome))
  try {
    // In the transaction that makes the pipeline too: a delivery that a crash leaves then makes no second one.
    const { pipeline, message } = await actOnceMore(core, delivery, (tx, made) =>
      saveDelivery(tx, id, { status: 'done', pipelineId: made.id, message: null }),
    )
    await save({ status: 'done', pipelineId: pipeline?.id ?? null, message: message ?? null })
  } catch (error) {
    const { code, message } = SignalboxError.from(error)
    const again = (code === 'unavailable' || code === 'internal') && delivery.attempts < mostAttempts
    await save({ status: again ? 'waiting' : 'failed', pipelineId: null, message })
    if (!again) await showFailure(core, delivery, message)
    if (code === 'internal') throw error
  }
}

/** The commit shows why there is no pipeline of it, where its forge is told. */
async function showFailure(core: Core, { projectId, event }: Delivery, message: string): Promise<void> {
  const sha = event.kind === 'push' ? event.after : event.kind === 'pull_request' ? event.source.sha : undefined
  if (sha === undefined || !(await findConnection(core.store.read, projectId))) return
  const tag = event.kind === 'push' && event.ref.startsWith('refs/tags/')
  const context = `signalbox/${event.kind === 'pull_request' ? 'pull-request' : tag ? 'tag' : 'push'}`
  const description = `No pipeline: ${message}`.slice(0, longestDescription)
  await core.store.write((tx) =>
    wantStatus(tx, { projectId, sha, context, pipelineId: 0, jobId: null, ref: null, state: 'failed', description }),
  )
}

const longestDescription = 500

interface Outcome {
  pipeline?: Pipeline | undefined
  message?: string
}

const noPipeline = 'no pipeline: there is no configuration, or its rules leave no job'

type Alongside = NonNullable<CreatePipelineInput['alongside']>

/** Where the code cannot be fetched because the repository has another name by now, that is found out first. */
async function actOnceMore(core: Core, delivery: Delivery, alongside: Alongside): Promise<Outcome> {
  try {
    return await act(core, delivery, alongside)
  } catch (error) {
    const known = await findConnection(core.store.read, delivery.projectId)
    if (!known || SignalboxError.from(error).code !== 'unavailable') throw error
    const found = await followRepository(core, known).catch(() => 'there')
    if (found !== 'moved') throw error
    return act(core, delivery, alongside)
  }
}

async function act(core: Core, { projectId, event }: Delivery, alongside: Alongside): Promise<Outcome> {
  if (event.kind === 'ignored') return { message: event.reason }
  const project = await getProject(core.store.read, projectId)
  if (event.kind === 'fetch') {
    await fetchMirror(core, project)
    return { message: event.reason }
  }
  const secret = await findDeliverySecret(core.store.read, projectId)
  const user = secret && (await findUser(core.store.read, secret.userId))
  if (user?.state !== 'active' || !(await can(core, { user, scopes: new Set<string>() }, 'operate', project))) {
    throw new SignalboxError('forbidden', 'whoever made the secret may not start pipelines here any more')
  }
  if (event.kind === 'pull_request' && event.fork) return receiveForkRequest(core, projectId, event, alongside)
  const pipeline = await (event.kind === 'push'
    ? push(core, projectId, user, event, alongside)
    : request(core, projectId, user, event, alongside))
  return pipeline ? { pipeline } : { message: noPipeline }
}

/** A tag may be annotated, and then its id is no commit: it is looked up here. */
function push(
  core: Core,
  projectId: number,
  user: User,
  { ref, before, after }: Extract<DeliveryEvent, { kind: 'push' }>,
  alongside: Alongside,
): Promise<Pipeline | undefined> {
  const branch = ref.startsWith('refs/heads/')
  return createPipeline(core, {
    projectId,
    ref,
    source: 'push',
    user,
    ...(branch && after !== undefined ? { sha: after } : {}),
    ...(branch && before !== undefined ? { beforeSha: before } : {}),
    onInvalid: 'keep',
    alongside,
  })
}

/** Of a branch of the same repository. */
async function request(
  core: Core,
  projectId: number,
  user: User,
  event: RequestEvent,
  alongside: Alongside,
): Promise<Pipeline | undefined> {
  const { source, target } = event
  const project = await fetchMirror(core, await getProject(core.store.read, projectId))
  const head = source.sha ?? (await core.repositories.resolve(project, `refs/heads/${source.branch}`))?.sha
  const base = target.sha ?? (await core.repositories.resolve(project, `refs/heads/${target.branch}`))?.sha
  return createPipeline(core, {
    projectId,
    ref: `refs/heads/${source.branch}`,
    source: 'external_pull_request_event',
    user,
    predefined: requestVariables(event, { head, base }),
    ...(head === undefined ? {} : { sha: head }),
    ...(base === undefined ? {} : { changesSince: base }),
    onInvalid: 'keep',
    alongside,
  })
}

/** The sweep: works on the deliveries that a stop of the node has left, and on those to be tried again. */
export async function workOnDeliveriesLeft(core: Core): Promise<number> {
  const waiting = await listWaitingDeliveries(core.store.read, core.clock.now())
  return eachSafely(core.log, 'working on a delivery', waiting, (id) => workOnDelivery(core, id))
}
