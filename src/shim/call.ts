/** Who may use a route of GitLab's API: runners and jobs by their tokens, people by scopes and by what they may do in a project. */

import { type Actor, can, type Deed, jobMay } from '../core/authorize.js'
import { canInGroup, type GroupDeed } from '../core/authorize-groups.js'
import { actingFor, type Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Job } from '../core/job.js'
import type { Group, Project } from '../core/project.js'
import type { Viewer } from '../core/store/member-levels.js'
import { findGroup, findGroupByPath, findProject, findProjectByPath } from '../core/store/projects.js'
import type { AccessScope } from '../core/tokens/token.js'
import { type Call, idFrom, type Method, type Reply, type Route, type UserCall } from '../http/call.js'
import { notFound } from './errors.js'

export interface ProjectCall extends Call {
  /** For a job's token the user that it runs for. Undefined: there is none, or nobody signed in where the project is public. */
  actor: Actor | undefined
  project: Project
}

type Handler<C extends Call> = (call: C) => Promise<Reply | undefined>

/** A route for runners and jobs: the handler checks their token. */
export function tokenRoute(method: Method, path: string, handle: Handler<Call>, options?: { streams: true }): Route {
  return { method, path, streams: options?.streams ?? false, handle }
}

/**
 * A route for whoever has an access token with one of the scopes; `api` does for everything, `read_api` for reading.
 * `anyScope`: with any token at all.
 */
export function userRoute(
  method: Method,
  path: string,
  needs: { scopes?: readonly AccessScope[]; anyScope?: true; admin?: true },
  handle: Handler<UserCall>,
): Route {
  return {
    method,
    path,
    streams: false,
    async handle(call) {
      const actor = await call.access.actor(call.req, call.params)
      if (!actor) throw new SignalboxError('unauthenticated', '401 Unauthorized')
      if (!needs.anyScope) requireScope(actor, method, needs.scopes)
      if (needs.admin && actor.user.isAdmin === 0) throw new SignalboxError('forbidden', '403 Forbidden')
      return handle({ ...call, core: coreFor(call.core, actor), actor })
    },
  }
}

/**
 * A route below `/projects/:id` for whoever may do the deed in that project. A project that one may not read is not found;
 * who has not signed in may only read. `jobToken`: also for jobs by their token, as far as their user and the project's
 * allowlist let them.
 */
export function projectRoute(
  method: Method,
  path: string,
  needs: { deed: Deed; jobToken?: true; signedIn?: true; bodyBytes?: number },
  handle: Handler<ProjectCall>,
): Route {
  return {
    method,
    path,
    streams: false,
    ...(needs.bodyBytes === undefined ? {} : { bodyBytes: needs.bodyBytes }),
    async handle(call) {
      const actor = await call.access.actor(call.req, call.params)
      if (actor) requireScope(actor, method)
      const byJob = actor || !needs.jobToken ? undefined : await call.access.jobOf(call.req, call.params)
      if (byJob) {
        const job = await throughJob(call, byJob.job, needs.deed)
        return handle({ ...call, ...job, core: coreFor(call.core, job.actor) })
      }
      if (!actor && (method !== 'get' || needs.signedIn))
        throw new SignalboxError('unauthenticated', '401 Unauthorized')
      const project = await findProjectBy(call.core, call.path('id'))
      if (!project || !(await can(call.core, actor, 'read', project))) throw notFound('Project')
      if (!(await can(call.core, actor, needs.deed, project))) throw new SignalboxError('forbidden', '403 Forbidden')
      return handle({ ...call, core: coreFor(call.core, actor), actor, project })
    },
  }
}

/** The core, for what is done for whoever asks. */
function coreFor(core: Core, actor: Actor | undefined): Core {
  return actor ? actingFor(core, actor.user) : core
}

/** The project of the path, and as whom the job may do this there. Throws `not_found`; `forbidden` where it may only read. */
async function throughJob(
  { core, path }: Call,
  job: Job,
  deed: Deed,
): Promise<{ project: Project; actor: Actor | undefined }> {
  const project = await findProjectBy(core, path('id'))
  const reader = project && (await jobMay(core, job, 'read', project))
  if (!project || !reader) throw notFound('Project')
  const doer = deed === 'read' ? reader : await jobMay(core, job, deed, project)
  if (!doer) throw new SignalboxError('forbidden', '403 Forbidden')
  return { project, actor: doer.user ? { user: doer.user, scopes: new Set() } : undefined }
}

function requireScope(actor: Actor, method: Method, extra: readonly AccessScope[] = []): void {
  const enough: AccessScope[] = ['api', ...(method === 'get' ? (['read_api'] as const) : []), ...extra]
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

/** The same, if the caller may do this in it. Throws `not_found` where it may not even see it; `forbidden`. */
export async function groupFor(call: UserCall, deed: GroupDeed): Promise<Group> {
  const group = await groupOf(call)
  const { read } = call.core.store
  if (!(await canInGroup(read, call.actor.user, 'see', group))) throw notFound('Group')
  if (deed !== 'see' && !(await canInGroup(read, call.actor.user, deed, group))) {
    throw new SignalboxError('forbidden', '403 Forbidden')
  }
  return group
}

/** As whom the caller looks at lists. */
export function viewerOf({ core, actor }: UserCall): Viewer {
  return { userId: actor.user.id, now: core.clock.now() }
}

/** The id in the path of the call. Throws `not_found` for what cannot be one. */
export function idOf(call: Pick<Call, 'path'>, name: string, what: string): number {
  const id = idFrom(call.path(name))
  if (id === undefined) throw notFound(what)
  return id
}
