/**
 * Step: a job that has become pending gets its payload and its place. If a fitting runner waits, the job is offered to it
 * in this very transaction and never enters the queue; otherwise it joins its lane, and a runner is woken after the commit.
 */
import { expandVariables, forRunner } from '../ci-config/expand.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { unreadable } from '../failure.js'
import type { Job } from '../job.js'
import { type GivenToJob, waitsForPeople } from '../job.js'
import { buildPayload } from '../payload/payload.js'
import { demandOf } from '../scheduler/demand.js'
import { listGiven } from '../store/artifacts.js'
import { findJobVariables, getDefinition, saveJob } from '../store/jobs.js'
import { savePayload } from '../store/payloads.js'
import { demandId, enterLane } from '../store/queue.js'
import type { Tx } from '../store/write.js'
import { SealError } from '../tokens/keys.js'
import { knowsProviders } from '../tokens/secrets.js'
import type { JobEventOptions } from './apply-job-event.js'
import { findForeignArtifacts, type Missing } from './find-foreign-artifacts.js'
import { idTokenClaimsOf } from './id-token-claims.js'
import { offerJob } from './offer-job.js'
import { contextOf, type PipelineContext, variablesOf } from './pipeline-context.js'
import { variablesFor } from './variables-for.js'

/**
 * Writes the job's row too: `job.status` is `pending` already. `known`: what the job does, if it has been read. Returns a
 * failure, and writes nothing, if the job needs what is not there.
 */
export async function enqueueJob(
  core: Core,
  tx: Tx,
  job: Job,
  known: Pick<JobEventOptions, 'plan' | 'givers'> = {},
): Promise<Missing | undefined> {
  const context = await contextOf(tx, job.pipelineId)
  const plan = known.plan ?? (await getDefinition(tx, job.definitionId))
  const payload = await payloadFor(core, tx, job, plan, context, known.givers).catch((error: unknown) => {
    if (error instanceof SealError) return unreadable
    throw error
  })
  if (!Buffer.isBuffer(payload)) return payload
  await savePayload(tx, job.id, core.keys.seal(payload))
  const demand = demandOf(plan, context.pipeline.protected === 1)
  const demandKey = await demandId(tx, core.demands, demand)
  const waiter = core.dispatcher.take(tx, { project: context.facts, demandId: demandKey, demand })
  if (waiter) {
    const timeouts = { job: plan.timeoutSeconds ?? null, project: context.project.timeoutS }
    const offer = await offerJob(core, tx, job, waiter, { payload, timeouts })
    tx.afterCommit(() => core.dispatcher.deliver(waiter, offer))
    return undefined
  }
  await placeInLane(core, tx, job, demandKey, context)
  return undefined
}

/** Puts a pending job at its place in its lane. */
export async function placeInLane(
  core: Core,
  tx: Tx,
  job: Job,
  demandKey: number,
  context: Pick<PipelineContext, 'facts'>,
): Promise<void> {
  job.laneId = await enterLane(tx, job, demandKey)
  job.inQueue = 1
  await saveJob(tx, job)
  tx.afterCommit(() => core.dispatcher.jobQueued(context.facts, demandKey))
}

async function payloadFor(
  core: Core,
  tx: Tx,
  job: Job,
  plan: JobPlan,
  context: PipelineContext,
  givers: JobEventOptions['givers'],
): Promise<Buffer | Missing> {
  const { pipeline, project, facts } = context
  const variables = await variablesOf(core, tx, job.pipelineId)
  const foreign =
    plan.crossNeeds === undefined ? [] : await findForeignArtifacts(core, tx, job, plan, { ...context, variables })
  if (!Array.isArray(foreign)) return foreign
  const given = waitsForPeople(job) ? await findJobVariables(tx, job.id) : undefined
  const played = given ? openGiven(core, given) : { variables: [] }
  const own = await listGiven(tx, job, plan, givers)
  // Looked at here, where they are read anyway: they go long before a job that waits for days does.
  if (own.some((given) => given.gone)) return { reason: 'missing_dependency_failure', class: 'dependency' }
  const before = [...own, ...foreign]
  const setVariables = await variablesFor(core, tx, {
    projectId: project.id,
    protected: pipeline.protected === 1,
    environment: plan.environment?.name ?? null,
  })
  const strongVariables = [...variables.strong, ...played.variables]
  if (plan.secrets) {
    const known = new Set([...plan.variables, ...setVariables, ...strongVariables].map(({ key }) => key))
    if (!knowsProviders(plan, known)) return { reason: 'secrets_provider_not_found', class: 'config' }
  }
  return buildPayload(
    {
      project,
      rootGroupId: facts.groupIds.at(-1) ?? project.groupId,
      externalUrl: core.externalUrl(),
      job,
      plan: played.inputs === undefined ? plan : { ...plan, inputs: played.inputs },
      pipeline: { ...pipeline, tag: pipeline.tag === 1, protected: pipeline.protected === 1 },
      pipelineVariables: variables.predefined,
      setVariables,
      strongVariables,
      dotenvVariables: before.flatMap(({ dotenv }) => (dotenv ? openVariables(core, dotenv) : [])),
      ...(plan.idTokens ? { idTokenClaims: await idTokenClaimsOf(core, tx, job, plan, context) } : {}),
      dependencies: before.flatMap(({ id, name, archive }) => (archive ? [{ id, name, ...archive }] : [])),
      gitDepth: core.settings.gitDepth,
    },
    (list) => expandVariables(list, forRunner).variables,
  )
}

/** What a person gave the job on playing it. */
function openGiven(core: Core, sealed: Uint8Array): GivenToJob {
  return JSON.parse(core.keys.open(sealed).toString('utf8'))
}

function openVariables(core: Core, sealed: Uint8Array): PlanVariable[] {
  return JSON.parse(core.keys.open(sealed).toString('utf8'))
}
