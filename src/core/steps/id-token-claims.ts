/** Step: what the ID tokens of a job say before a runner has it: gitlab lib/gitlab/ci/jwt{,_v2}.rb. */

import { levelIn } from '../authorize.js'
import type { JobPlan } from '../ci-config/job-definition.js'
import type { Core } from '../core.js'
import { guessTier } from '../environment.js'
import type { Job } from '../job.js'
import { levelName } from '../member.js'
import { findDeployers } from '../store/environments.js'
import { findUser } from '../store/users.js'
import type { Tx } from '../store/write.js'
import type { IdTokenClaims } from '../tokens/id-token.js'
import type { PipelineContext } from './pipeline-context.js'

/** Returns the claims but `aud`, which each token of the job has its own of. */
export async function idTokenClaimsOf(
  core: Core,
  tx: Tx,
  job: Job,
  plan: JobPlan,
  { pipeline, project }: PipelineContext,
): Promise<IdTokenClaims> {
  const issuer = core.externalUrl()
  const namespace = project.fullPath.slice(0, project.fullPath.lastIndexOf('/'))
  const refType = pipeline.tag === 1 ? 'tag' : 'branch'
  const refPath = `refs/${pipeline.tag === 1 ? 'tags' : 'heads'}/${pipeline.ref}`
  const place = (prefix: string) => ({
    [`${prefix}project_id`]: String(project.id),
    [`${prefix}project_path`]: project.fullPath,
    [`${prefix}namespace_id`]: String(project.groupId),
    [`${prefix}namespace_path`]: namespace,
  })
  return {
    iss: issuer,
    sub: `project_path:${project.fullPath}:ref_type:${refType}:ref:${pipeline.ref}`,
    ...place(''),
    ...place('job_'),
    ...(await userClaims(tx, job, project)),
    project_visibility: project.visibility,
    pipeline_id: String(pipeline.id),
    pipeline_source: pipeline.source,
    job_id: String(job.id),
    ref: pipeline.ref,
    ref_type: refType,
    ref_path: refPath,
    ref_protected: String(pipeline.protected === 1),
    sha: pipeline.sha,
    ci_config_ref_uri: `${new URL(issuer).host}/${project.fullPath}//${project.configPath}@${refPath}`,
    ci_config_sha: pipeline.sha,
    ...(await environmentClaims(tx, plan, project.id)),
  }
}

async function userClaims(tx: Tx, job: Job, project: { id: number; groupId: number }): Promise<IdTokenClaims> {
  const user = job.userId === null ? undefined : await findUser(tx, job.userId)
  return {
    user_id: user ? String(user.id) : '',
    user_login: user?.username ?? null,
    user_email: user?.email ?? null,
    user_access_level: user ? (levelName(await levelIn(tx, user, project)) ?? null) : null,
  }
}

async function environmentClaims(tx: Tx, { environment }: JobPlan, projectId: number): Promise<IdTokenClaims> {
  if (!environment) return {}
  return {
    environment: environment.name,
    environment_protected: String((await findDeployers(tx, projectId, environment.name)) !== undefined),
    deployment_tier: environment.deploymentTier ?? guessTier(environment.name),
    environment_action: environment.action,
  }
}
