/** Environments, deployments and resource groups, as gitlab lib/api/entities shows them. */
import type { Deployment, Environment } from '../../core/environment.js'
import type { ResourceGroup } from '../../core/store/resource-groups.js'
import type { User } from '../../core/store/users.js'
import { toIso } from './time.js'
import { toUserBasic } from './user.js'

function toEnvironmentBasic(environment: Environment): object {
  return {
    id: environment.id,
    name: environment.name,
    slug: environment.slug,
    external_url: environment.externalUrl,
    description: environment.description,
    created_at: toIso(environment.createdAt),
    updated_at: toIso(environment.updatedAt),
  }
}

export function toEnvironment(environment: Environment): object {
  return {
    ...toEnvironmentBasic(environment),
    tier: environment.tier,
    state: environment.state,
    auto_stop_at: toIso(environment.autoStopAt),
  }
}

/** `job`: its entity, where one is wanted. */
export function toDeployment(
  deployment: Deployment,
  context: { environment: Environment; user: User | undefined; externalUrl: string; job?: object | undefined },
): object {
  return {
    id: deployment.id,
    iid: deployment.iid,
    ref: deployment.ref,
    sha: deployment.sha,
    status: deployment.status,
    created_at: toIso(deployment.createdAt),
    updated_at: toIso(deployment.updatedAt),
    user: context.user ? toUserBasic(context.user, context.externalUrl) : null,
    environment: toEnvironmentBasic(context.environment),
    ...(context.job ? { deployable: context.job } : {}),
  }
}

export function toResourceGroup(group: ResourceGroup): object {
  return {
    id: group.id,
    key: group.key,
    process_mode: group.processMode,
    created_at: toIso(group.createdAt),
    updated_at: toIso(group.createdAt),
  }
}
