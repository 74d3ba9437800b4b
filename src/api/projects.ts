/**
 * What projects are set to that GitLab's API has no address for; the project by its id or path:
 *
 * - `GET`, `POST /projects/:id/subscriptions` (`upstream`: a project), `DELETE …/subscriptions/:subscription_id`
 * - `GET`, `PUT`, `DELETE /projects/:id/default-config`: what runs where a commit has no configuration
 */

import { can, type Deed } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { setDefaultConfig } from '../core/operations/edit-default-config.js'
import { subscribeProject, unsubscribeProject } from '../core/operations/subscribe-project.js'
import type { Project } from '../core/project.js'
import { findDefaultConfig } from '../core/store/default-configs.js'
import { findProject, findProjectByPath } from '../core/store/projects.js'
import { projectsById } from '../core/store/related.js'
import { listSubscriptions, type Subscription } from '../core/store/subscriptions.js'
import { idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import { signedInRoute } from './route.js'

export const projectRoutes: readonly Route[] = [
  signedInRoute('get', '/projects/:id/subscriptions', list),
  signedInRoute('post', '/projects/:id/subscriptions', subscribe),
  signedInRoute('delete', '/projects/:id/subscriptions/:subscription_id', async (call) => {
    const { id: projectId } = await projectFor(call, 'administer')
    const id = idFrom(call.path('subscription_id'))
    if (id === undefined) throw new SignalboxError('not_found', 'there is no such subscription')
    await unsubscribeProject(call.core, { projectId, id })
    return { status: 204 }
  }),
  signedInRoute('get', '/projects/:id/default-config', async (call) => {
    const config = await findDefaultConfig(call.core.store.read, (await projectFor(call, 'administer')).id)
    if (config === undefined) throw new SignalboxError('not_found', 'the project has no default configuration')
    return { status: 200, body: { config } }
  }),
  signedInRoute('put', '/projects/:id/default-config', async (call) => {
    const { id } = await projectFor(call, 'administer')
    const config = call.params.text('config', { max: 1024 * 1024 })
    if (config === undefined) throw new SignalboxError('invalid', 'config is missing')
    await setDefaultConfig(call.core, id, config)
    return { status: 200, body: { config } }
  }),
  signedInRoute('delete', '/projects/:id/default-config', async (call) => {
    await setDefaultConfig(call.core, (await projectFor(call, 'administer')).id, null)
    return { status: 204 }
  }),
]

async function list(call: UserCall): Promise<Reply> {
  const project = await projectFor(call, 'administer')
  const subscriptions = await listSubscriptions(call.core.store.read, { projectId: project.id })
  return { status: 200, body: await shown(call.core, subscriptions) }
}

async function subscribe(call: UserCall): Promise<Reply> {
  const { core, params, actor } = call
  const project = await projectFor(call, 'administer')
  const given = params.text('upstream', { max: 1024 })
  if (!given) throw new SignalboxError('invalid', 'upstream is missing: a project by its id or path')
  const upstream = await readable(call, given)
  if (!upstream) throw new SignalboxError('not_found', 'there is no such upstream project')
  const made = await subscribeProject(core, {
    projectId: project.id,
    upstreamId: upstream.id,
    userId: actor.user.id,
  })
  return { status: 201, body: (await shown(core, [made]))[0] }
}

async function shown(core: Core, list: readonly Subscription[]): Promise<object[]> {
  const projects = await projectsById(
    core.store.read,
    list.map((one) => one.upstreamId),
  )
  return list.map((one) => ({
    id: one.id,
    project_id: one.projectId,
    upstream: { id: one.upstreamId, path_with_namespace: projects.get(one.upstreamId)?.fullPath ?? null },
    user_id: one.userId,
    created_at: new Date(one.createdAt).toISOString(),
  }))
}

/** The project of `:id` for those who may do this there. Throws `not_found` and `forbidden`. */
export async function projectFor(call: UserCall, deed: Deed): Promise<Project> {
  const project = await readable(call, call.path('id'))
  if (!project) throw new SignalboxError('not_found', 'there is no such project')
  if (await can(call.core, call.actor, deed, project)) return project
  throw new SignalboxError('forbidden', 'this is for those who may administer the project')
}

async function readable({ core, actor }: UserCall, given: string): Promise<Project | undefined> {
  const id = idFrom(given)
  const { read } = core.store
  const project = await (id === undefined ? findProjectByPath(read, given) : findProject(read, id))
  return project && (await can(core, actor, 'read', project)) ? project : undefined
}
