/** Somebody with a trigger token, or a job with its own, starts a pipeline. */

import { can, jobMay } from '../authorize.js'
import type { PlanVariable } from '../ci-config/variables.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { isOfFork } from '../forge.js'
import type { Pipeline, PipelineSource } from '../pipeline.js'
import type { Project } from '../project.js'
import { getPipeline } from '../store/pipelines.js'
import { getProject } from '../store/projects.js'
import { findTriggerByToken, saveTrigger } from '../store/triggers.js'
import { findUser, type User } from '../store/users.js'
import { hashToken, tokenPrefixes } from '../tokens/token.js'
import { authenticateJob } from './authenticate.js'
import { createPipeline } from './create-pipeline.js'

/** A request with a trigger token, or with the token of a job. */
export interface TriggerPipelineInput {
  projectId: number
  token: string
  ref: string
  variables: readonly PlanVariable[]
  inputs?: Readonly<Record<string, unknown>>
}

/**
 * The pipeline runs as the owner of the token (source `trigger`), or as the user of the job (source `pipeline`), who must
 * still be allowed to start one. Throws `not_found` for a token that does not fit the project; `forbidden`; `invalid` as
 * `createPipeline` does.
 */
export async function triggerPipeline(core: Core, input: TriggerPipelineInput): Promise<Pipeline> {
  const project = await getProject(core.store.read, input.projectId)
  const starter = input.token.startsWith(tokenPrefixes.job)
    ? await jobStarter(core, project, input.token)
    : await tokenStarter(core, input)
  const actor = { user: starter.user, scopes: new Set<string>() }
  if (starter.user.state !== 'active' || !(await can(core, actor, 'operate', project))) {
    throw new SignalboxError('forbidden', 'the owner of the token may not start pipelines here')
  }
  const pipeline = await createPipeline(core, {
    projectId: project.id,
    ref: input.ref,
    source: starter.source,
    user: starter.user,
    variables: input.variables,
    predefined: starter.predefined,
    ...(input.inputs === undefined ? {} : { inputs: input.inputs }),
    onInvalid: 'refuse',
  })
  return pipeline!
}

interface Starter {
  user: User
  source: PipelineSource
  predefined: PlanVariable[]
}

async function tokenStarter(core: Core, { token, projectId }: TriggerPipelineInput): Promise<Starter> {
  const trigger = await findTriggerByToken(core.store.read, hashToken(token))
  const user = trigger?.projectId === projectId ? await findUser(core.store.read, trigger.ownerId) : undefined
  if (!trigger || !user) throw unknown()
  await core.store.write((tx) => saveTrigger(tx, trigger.id, { lastUsedAt: tx.now }))
  const short = token.slice(tokenPrefixes.trigger.length).slice(0, 4)
  return { user, source: 'trigger', predefined: [{ key: 'CI_TRIGGER_SHORT_TOKEN', value: short, raw: true }] }
}

/** A job's token reaches its own project, and those whose allowlist its project is on. */
async function jobStarter(core: Core, project: Project, token: string): Promise<Starter> {
  const { job } = await authenticateJob(core, token, 'job')
  const user = job.userId === null ? undefined : await findUser(core.store.read, job.userId)
  const pipeline = await getPipeline(core.store.read, job.pipelineId)
  const open = job.projectId === project.id || (await jobMay(core, job, 'operate', project))
  if (!user || !open || isOfFork(pipeline)) throw unknown()
  return { user, source: 'pipeline', predefined: [] }
}

const unknown = () => new SignalboxError('not_found', 'no trigger of the project has this token')
