/** Who may use a route of GitLab's API: runners and jobs by their tokens, people by scopes and by what they may do in a project. */

import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { type Actor, authenticateJob } from '../core/operations/authenticate.js'
import { can, type Deed } from '../core/operations/authorize.js'
import type { Group, Project } from '../core/project.js'
import { findGroup, findGroupByPath, findProject, findProjectByPath } from '../core/store/projects.js'
import { jobTokenOf } from '../http/access.js'
import { type Call, idFrom, type Method, type Reply, type Route, type UserCall } from '../http/call.js'
import { notFound } from './errors.js'

export interface ProjectCall extends Call {
  /** Undefined: a job's token, or nobody signed in where the project is public. */
  actor: Actor | undefined
  project: Project
}

type Handler<C extends Call> = (call: C) => Promise<Reply | undefined>

/** A route for runners and jobs: the handler checks their token. */
export function tokenRoute(method: Method, path: string, handle: Handler<Call>, options?: { streams: true }): Route {
  return { method, path, streams: options?.streams ?? false, handle }
}

export type Scope = 'api' | 'read_api' | 'create_runner' | 'manage_runner'

/** A route for whoever has an access token with one of the scopes; `api` does for everything, `read_api` for reading. */
export function userRoute(
  method: Method,
  path: string,
  needs: { scopes?: readonly Scope[]; admin?: true },
  handle: Handler<UserCall>,
): Route {
  return {
    method,
    path,
    streams: false,
    async handle(call) {
      const actor = await call.access.actor(call.req, call.params)
      if (!actor) throw new SignalboxError('unauthenticated', '401 Unauthorized')
      requireScope(actor, method, needs.scopes)
      if (needs.admin && actor.user.isAdmin === 0) throw new SignalboxError('forbidden', '403 Forbidden')
      return handle({ ...call, actor })
    },
  }
}

/**
 * A route below `/projects/:id` for whoever may do the deed in that project. A project that one may not read is not found;
 * who has not signed in may only read. `jobToken`: also for jobs of the project, by their token.
 */
export function projectRoute(
  method: Method,
  path: string,
  needs: { deed: Deed; jobToken?: true; signedIn?: true },
  handle: Handler<ProjectCall>,
): Route {
  return {
    method,
    path,
    streams: false,
    async handle(call) {
      const actor = await call.access.actor(call.req, call.params)
      if (actor) requireScope(actor, method)
      const jobToken = actor ? undefined : jobTokenOf(call.req, call.params)
      if (jobToken !== undefined && needs.jobToken) {
        const { job } = await authenticateJob(call.core, jobToken)
        const project = await findProjectBy(call.core, call.path('id'))
        if (project?.id !== job.projectId) throw notFound('Project')
        return handle({ ...call, actor: undefined, project })
      }
      if (!actor && (method !== 'get' || needs.signedIn))
        throw new SignalboxError('unauthenticated', '401 Unauthorized')
      const project = await findProjectBy(call.core, call.path('id'))
      if (!project || !(await can(call.core, actor, 'read', project))) throw notFound('Project')
      if (!(await can(call.core, actor, needs.deed, project))) throw new SignalboxError('forbidden', '403 Forbidden')
      return handle({ ...call, actor, project })
    },
  }
}

function requireScope(actor: Actor, method: Method, extra: readonly Scope[] = []): void {
  const enough: Scope[] = ['api', ...(method === 'get' ? (['read_api'] as const) : []), ...extra]
  if (enough.some((scope) => actor.scopes.has(scope))) return
  throw new SignalboxError('forbidden', 'The request requires higher privileges than provided by the access token.', {
    details: { scope: enough.join(' ') },
  })
}

/** By id or by `group/name`. */
function findProjectBy(core: Core, idOrPath: string): Promise<Project | undefined> {
  const id = idFrom(idOrPath)
  if (id !== undefined) return findProject(core.store.read, id)
  // PostgreSQL takes no NUL, not even to look for it.
  const isPath = idOrPath.includes('/')
  return isPath ? findProjectByPath(core.store.read, idOrPath) : Promise.resolve(undefined)
}

/** The group of the path, by id or by `group/subgroup`. Throws `not_found`. */
export async function groupOf({ core, path }: Pick<Call, 'core' | 'path'>): Promise<Group> {
  const given = path('id')
  const id = idFrom(given)
  const { read } = core.store
  const group = id === undefined ? await findGroupByPath(read, given) : await findGroup(read, id)
  if (group?.kind !== 'group') throw notFound('Group')
  return group
}

/** The id in the path of the call. Throws `not_found` for what cannot be one. */
export function idOf(call: Pick<Call, 'path'>, name: string, what: string): number {
  const id = idFrom(call.path(name))
  if (id === undefined) throw notFound(what)
  return id
}
