/** Step: all that a job's payload is made of, read from the rows of its pipeline, its project and the jobs before it. */
import type { JobPlan } from '../ci-config/job-definition.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { unreadable } from '../failure.js'
import { type GivenToJob, type Job, waitsForPeople } from '../job.js'
import { buildPayload, type PayloadFacts } from '../payload/payload.js'
import { type Giver, listGiven } from '../store/artifacts.js'
import { findJobVariables } from '../store/jobs.js'
import { savePayload } from '../store/payloads.js'
import type { Tx } from '../store/write.js'
import { SealError } from '../tokens/keys.js'
import { knowsProviders } from '../tokens/secrets.js'
import { jobSpan, traceparentOf } from '../trace-context.js'
import type { Failure } from './change-status.js'
import { findForeignArtifacts } from './find-foreign-artifacts.js'
import { idTokenClaimsOf } from './id-token-claims.js'
import { contextOf, variablesOf } from './pipeline-context.js'
import { variablesFor } from './variables-for.js'

/**
 * Returns what the job's payload is made of as of now, or why the job cannot run: it needs what is not there, or what cannot be
 * opened.
 */
export async function gatherPayload(
  core: Core,
  tx: Tx,
  job: Job,
  plan: JobPlan,
  givers?: () => Promise<Giver[]>,
): Promise<PayloadFacts | Failure> {
  try {
    return await gather(core, tx, job, plan, givers)
  } catch (error) {
    if (error instanceof SealError) return unreadable
    throw error
  }
}

async function gather(
  core: Core,
  tx: Tx,
  job: Job,
  plan: JobPlan,
  givers: (() => Promise<Giver[]>) | undefined,
): Promise<PayloadFacts | Failure> {
  const context = await contextOf(tx, job.pipelineId)
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
  return {
    project,
    rootGroupId: facts.groupIds.at(-1) ?? project.groupId,
    externalUrl: core.externalUrl(),
    traceparent: traceparentOf(jobSpan(core.keys, pipeline, job.id)),
    job,
    plan: played.inputs === undefined ? plan : { ...plan, inputs: played.inputs },
    pipeline,
    pipelineVariables: variables.predefined,
    setVariables,
    strongVariables,
    dotenvVariables: before.flatMap(({ dotenv }) => (dotenv ? openVariables(core, dotenv) : [])),
    ...(plan.idTokens ? { idTokenClaims: await idTokenClaimsOf(core, tx, job, plan, context) } : {}),
    dependencies: before.flatMap(({ id, name, archive }) => (archive ? [{ id, name, ...archive }] : [])),
    gitDepth: core.settings.gitDepth,
  }
}

/** What a person gave the job on playing it. */
function openGiven(core: Core, sealed: Uint8Array): GivenToJob {
  return JSON.parse(core.keys.open(sealed).toString('utf8'))
}

function openVariables(core: Core, sealed: Uint8Array): PlanVariable[] {
  return JSON.parse(core.keys.open(sealed).toString('utf8'))
}

/** Step: keeps the payload, sealed, until the job has ended. The job's row is the caller's to save. */
export async function keepPayload(core: Core, tx: Tx, job: Job, facts: PayloadFacts): Promise<Buffer> {
  const payload = buildPayload(facts)
  await savePayload(tx, job.id, core.keys.seal(payload))
  job.payloadKept = 1
  return payload
}
