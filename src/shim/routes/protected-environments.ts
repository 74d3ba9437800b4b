/** Who may deploy to which environments: https://docs.gitlab.com/api/protected_environments/ */
import { protectEnvironment, unprotectEnvironment } from '../../core/operations/edit-environment.js'
import { type Deployer, listProtectedEnvironments } from '../../core/store/environments.js'
import type { Reply, Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'

const administer = { deed: 'administer' } as const
const base = '/projects/:id/protected_environments'

export const protectedEnvironmentRoutes: readonly Route[] = [
  projectRoute('get', base, administer, list),
  projectRoute('post', base, administer, protect),
  projectRoute('delete', `${base}/:name`, administer, unprotect),
]

const toProtected = ({ name, deployers }: { name: string; deployers: readonly Deployer[] }) => ({
  name,
  deploy_access_levels: deployers.map((one) => ({
    access_level: typeof one === 'object' ? one.level : null,
    access_level_description: typeof one === 'object' ? accessLevels[one.level] : null,
    user_id: typeof one === 'object' ? null : one,
    group_id: null,
  })),
  required_approval_count: 0,
})

async function list(call: ProjectCall): Promise<Reply> {
  const rows = await listProtectedEnvironments(call.core.store.read, call.project.id)
  return { status: 200, body: rows.map(toProtected) }
}

/** As https://docs.gitlab.com/api/protected_environments/ names them. */
const accessLevels = { 30: 'Developers + Maintainers', 40: 'Maintainers', 60: 'Administrators' } as const

/** One of `user_id` and `access_level`. Groups have no members, so nobody could be meant by one. */
function deployerOf(level: Params): Deployer {
  const where = 'deploy_access_levels'
  if (level.integer('group_id') !== undefined) throw wrongParameter(`${where}[group_id]`, 'is not supported')
  const id = level.integer('user_id', { min: 1 })
  const access = level.integer('access_level')
  if ((id === undefined) === (access === undefined)) {
    throw wrongParameter(
      `${where}[user_id], ${where}[access_level]`,
      'are missing, exactly one parameter must be provided',
    )
  }
  if (id !== undefined) return id
  if (access !== 30 && access !== 40 && access !== 60)
    throw wrongParameter(`${where}[access_level]`, 'does not have a valid value')
  return { level: access }
}

/** `deploy_access_levels: [{user_id} or {access_level}]`. */
async function protect(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const name = params.requiredText('name', { max: 255 })
  const deployers = (params.maps('deploy_access_levels') ?? []).map(deployerOf)
  await protectEnvironment(core, { projectId: project.id, name, deployers })
  return { status: 201, body: toProtected({ name, deployers }) }
}

async function unprotect(call: ProjectCall): Promise<Reply> {
  await unprotectEnvironment(call.core, call.project.id, call.path('name'))
  return { status: 204 }
}
