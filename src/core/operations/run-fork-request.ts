/**
 * Requests of forks bring what strangers have written. Whether they run is the project's policy; how they run is not: as
 * nobody, at a ref that no branch has, so without protected variables, on no protected runner, with a token that only reads, with caches of
 * their own, without id tokens, and starting nothing elsewhere.
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { refOfFork } from '../forge.js'
import { requestVariables } from '../payload/external-request.js'
import type { Pipeline } from '../pipeline.js'
import { record } from '../steps/record.js'
import { wantStatus } from '../store/forge-statuses.js'
import { findConnection } from '../store/forges.js'
import {
  approveRow,
  type ForkRequest,
  findForkRequest,
  insertForkRequest,
  type RequestEvent,
} from '../store/fork-requests.js'
import { getProject } from '../store/projects.js'
import type { User } from '../store/users.js'
import type { Tx } from '../store/write.js'
import { createPipeline } from './create-pipeline.js'
import { findMirror } from './fetch-mirror.js'

type Alongside = (tx: Tx, made: Pipeline) => Promise<void>

/** A forge tells of a fork's request. Returns its pipeline, or a sentence about why there is none. */
export async function receiveForkRequest(
  core: Core,
  projectId: number,
  event: RequestEvent,
  alongside: Alongside,
): Promise<{ pipeline?: Pipeline | undefined; message?: string }> {
  const connection = await findConnection(core.store.read, projectId)
  if (!connection || connection.forks === 'never') return { message: 'the request comes from a fork' }
  const { number, source } = event
  const { sha } = source
  if (sha === undefined) throw new SignalboxError('invalid', 'the request does not say which commit it is about')
  const waits = connection.forks === 'approve'
  const request = await core.store.write(async (tx) => {
    const kept = await insertForkRequest(tx, { projectId, number, sha, event })
    if (waits && kept.status === 'waiting') {
      const description = `Request ${number} of a fork waits for a member to approve it`
      await wantStatus(tx, { ...statusOf(kept), state: 'pending', description })
    }
    // Whoever tells forges looks once more.
    await record(core, tx, { kind: 'project.changed', projectId, data: { request: number } })
    return kept
  })
  if (request.status === 'approved') return { message: 'this head has run already' }
  if (waits) return { message: `the request comes from a fork, and waits for approval: ${number} at ${sha}` }
  const pipeline = await run(core, request, null, alongside)
  return pipeline ? { pipeline } : { message: 'no pipeline: there is no configuration, or its rules leave no job' }
}

const statusOf = ({ projectId, sha }: ForkRequest) => ({
  ...{ projectId, sha, context: 'signalbox/pull-request', pipelineId: 0, jobId: null, ref: null },
})

/**
 * Somebody has looked at a fork's request and lets its head run. `sha`: the head that was looked at; another one by now is a
 * `conflict`, and so is one that has run already. Throws `not_found` for a request that there is not, and what `createPipeline`
 * throws. Undefined: its rules leave no job.
 */
export async function approveForkRequest(
  core: Core,
  input: { projectId: number; number: number; sha?: string | undefined; user: User },
): Promise<Pipeline | undefined> {
  const { projectId, number, sha, user } = input
  const request = await findForkRequest(core.store.read, projectId, number)
  if (!request) throw new SignalboxError('not_found', `no request ${number} of a fork is known here`)
  if (sha !== undefined && sha !== request.sha) {
    throw new SignalboxError('conflict', `request ${number} is at ${request.sha} by now: look at that first`)
  }
  if (request.status === 'approved') throw ranAlready(request)
  return run(core, request, user)
}

const ranAlready = ({ number, sha }: ForkRequest) =>
  new SignalboxError('conflict', `request ${number} was approved at ${sha} already`)

async function run(
  core: Core,
  request: ForkRequest,
  by: User | null,
  alongside?: Alongside,
): Promise<Pipeline | undefined> {
  const { projectId, number, sha, event } = request
  const { read } = core.store
  const project = await getProject(read, projectId)
  const connection = await findConnection(read, projectId)
  const mirror = await findMirror(core, read, projectId)
  if (!connection || !mirror) throw new SignalboxError('conflict', 'the project is not connected to a forge any more')
  const ref = refOfFork(number)
  try {
    await core.repositories.fetchRef(project, mirror.source, {
      from: core.forges.requestRef(connection.kind, number),
      to: ref,
    })
  } catch (error) {
    throw new SignalboxError(
      'unavailable',
      `request ${number} could not be fetched: ${SignalboxError.from(error).message}`,
      {
        cause: error,
      },
    )
  }
  const pipeline = await createPipeline(core, {
    ...{ projectId, ref, requestRef: ref, sha, source: 'external_pull_request_event', user: null },
    predefined: requestVariables(event, { head: sha, base: event.target.sha }),
    ...(event.target.sha === undefined ? {} : { changesSince: event.target.sha }),
    onInvalid: 'keep',
    alongside: async (tx, made) => {
      if (!(await approveRow(tx, request.id, { by: by?.id ?? null, pipelineId: made.id }))) throw ranAlready(request)
      await record(core, tx, {
        kind: 'project.changed',
        projectId,
        data: { request: number, sha, ...(by ? { by: by.id } : {}) },
      })
      await alongside?.(tx, made)
    },
  })
  if (!pipeline) await core.store.write((tx) => settleWithout(tx, request, by))
  return pipeline
}

/** There is nothing to run: the head is not to wait for ever. */
async function settleWithout(tx: Tx, request: ForkRequest, by: User | null): Promise<void> {
  await approveRow(tx, request.id, { by: by?.id ?? null, pipelineId: null })
  const description = 'No pipeline: there is no configuration, or its rules leave no job'
  await wantStatus(tx, { ...statusOf(request), state: 'skipped', description })
}
