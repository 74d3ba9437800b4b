/**
 * Projects whose repositories are on a forge; the project by its id or path:
 *
 * - `POST /connections` makes a project of a repository
 * - `GET`, `PUT`, `DELETE /projects/:id/connection`, `POST …/connection/check`
 * - `GET …/connection/statuses`: what commits are to show there, and whether the forge has it
 * - `GET …/connection/requests`: those of forks; `POST …/connection/requests/:number/approve`
 */
import { SignalboxError } from '../core/errors.js'
import { type ForgeConnection, forgeKinds, forkPolicies } from '../core/forge.js'
import { type ConnectionReport, checkConnection } from '../core/operations/check-connection.js'
import { connectProject } from '../core/operations/connect-project.js'
import { disconnectProject } from '../core/operations/disconnect-project.js'
import { approveForkRequest } from '../core/operations/run-fork-request.js'
import type { Project } from '../core/project.js'
import { listStatuses, type StatusRow } from '../core/store/forge-statuses.js'
import { findConnection } from '../core/store/forges.js'
import { type ForkRequest, listForkRequests } from '../core/store/fork-requests.js'
import { getProject } from '../core/store/projects.js'
import { idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import type { Params } from '../http/params.js'
import { projectFor } from './projects.js'
import { signedInRoute } from './route.js'

export const connectionRoutes: readonly Route[] = [
  signedInRoute('post', '/connections', connect),
  signedInRoute('get', '/projects/:id/connection', show),
  signedInRoute('put', '/projects/:id/connection', change),
  signedInRoute('post', '/projects/:id/connection/check', check),
  signedInRoute('delete', '/projects/:id/connection', disconnect),
  signedInRoute('get', '/projects/:id/connection/statuses', statuses),
  signedInRoute('get', '/projects/:id/connection/requests', requests),
  signedInRoute('post', '/projects/:id/connection/requests/:number/approve', approve),
]

/** Makes a project of a repository on a forge, or mends the connection that it has. */
async function connect({ core, params, actor }: UserCall): Promise<Reply> {
  const { project, connection, made } = await connectProject(core, {
    url: params.requiredText('url', { max: 2048 }),
    token: params.requiredText('forge_token', { max: 1024 }),
    kind: params.choice('kind', forgeKinds),
    path: params.text('path', { max: 1024 }) || undefined,
    forks: params.choice('forks', forkPolicies),
    jobStatuses: params.boolean('job_statuses'),
    user: actor.user,
  })
  return { status: made ? 201 : 200, body: toConnection(project, connection) }
}

async function show(call: UserCall): Promise<Reply> {
  const project = await projectFor(call, 'administer')
  const connection = await findConnection(call.core.store.read, project.id)
  if (!connection) throw new SignalboxError('not_found', 'the project is not connected to a forge')
  return { status: 200, body: toConnection(project, connection) }
}

/** Another token or other settings; what is not named stays. What needs mending is mended on the way. */
async function change(call: UserCall): Promise<Reply> {
  const { id } = await projectFor(call, 'administer')
  return reportOf(call, await checkConnection(call.core, id, changeOf(call.params)))
}

/** Looks whether all is there that the connection needs, and mends what is not. */
async function check(call: UserCall): Promise<Reply> {
  const { id } = await projectFor(call, 'administer')
  return reportOf(call, await checkConnection(call.core, id))
}

/** Removes the webhook, the secret and the mirror; the project stays with what it has. */
async function disconnect(call: UserCall): Promise<Reply> {
  const { id } = await projectFor(call, 'administer')
  const left = await disconnectProject(call.core, id)
  return { status: 200, body: { project_id: id, left: left ?? null } }
}

/** Newest first. */
async function statuses(call: UserCall): Promise<Reply> {
  const { id } = await projectFor(call, 'administer')
  const limit = call.params.integer('per_page', { min: 1, max: 100 }) ?? 20
  const page = call.params.integer('page', { min: 1, max: 1_000_000 }) ?? 1
  const rows = await listStatuses(call.core.store.read, id, { limit, offset: (page - 1) * limit })
  return { status: 200, body: rows.map(toStatus) }
}

/** Requests of forks, newest head first. */
async function requests(call: UserCall): Promise<Reply> {
  const { id } = await projectFor(call, 'operate')
  const limit = call.params.integer('per_page', { min: 1, max: 100 }) ?? 20
  const page = call.params.integer('page', { min: 1, max: 1_000_000 }) ?? 1
  const rows = await listForkRequests(call.core.store.read, id, { limit, offset: (page - 1) * limit })
  return { status: 200, body: rows.map(toRequest) }
}

/** Lets the head of a fork's request run. */
async function approve(call: UserCall): Promise<Reply> {
  const { core, actor, params } = call
  const { id } = await projectFor(call, 'operate')
  const number = idFrom(call.path('number'))
  if (number === undefined) throw new SignalboxError('not_found', 'there is no such request')
  const sha = params.text('sha', { max: 64 }) || undefined
  const pipeline = await approveForkRequest(core, { projectId: id, number, sha, user: actor.user })
  return { status: 201, body: { project_id: id, number, pipeline_id: pipeline?.id ?? null } }
}

const changeOf = (params: Params) => ({
  token: params.text('forge_token', { max: 1024 }) || undefined,
  forks: params.choice('forks', forkPolicies),
  jobStatuses: params.boolean('job_statuses'),
})

async function reportOf({ core }: UserCall, report: ConnectionReport): Promise<Reply> {
  const project = await getProject(core.store.read, report.connection.projectId)
  const { missing, repaired, broken } = report
  return { status: 200, body: { ...toConnection(project, report.connection), missing, repaired, broken } }
}

function toConnection(project: Project, connection: ForgeConnection) {
  return {
    project_id: project.id,
    path_with_namespace: project.fullPath,
    kind: connection.kind,
    url: `${connection.baseUrl}/${connection.repository}`,
    forks: connection.forks,
    job_statuses: connection.jobStatuses === 1,
    user_id: connection.userId,
    hook_id: connection.hookId,
    error: connection.error,
    paused_until: connection.pausedUntil === 0 ? null : new Date(connection.pausedUntil).toISOString(),
    created_at: new Date(connection.createdAt).toISOString(),
  }
}

function toStatus(row: StatusRow) {
  return {
    id: row.id,
    sha: row.sha,
    context: row.context,
    state: row.state,
    description: row.description,
    pipeline_id: row.pipelineId === 0 ? null : row.pipelineId,
    job_id: row.jobId,
    told: row.sentVersion === row.version,
    attempts: row.attempts,
    message: row.message,
    updated_at: new Date(row.updatedAt).toISOString(),
  }
}

function toRequest(one: ForkRequest) {
  return {
    number: one.number,
    sha: one.sha,
    source_repository: one.event.source.repository,
    source_branch: one.event.source.branch,
    target_branch: one.event.target.branch,
    status: one.status,
    approved_by: one.approvedBy,
    pipeline_id: one.pipelineId,
    created_at: new Date(one.createdAt).toISOString(),
  }
}
