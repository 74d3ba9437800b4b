/** Who may fetch and push over HTTP: https://docs.gitlab.com/topics/git/clone/#clone-using-a-token */

import { type Actor, can, jobMay, standingIn } from '../core/authorize.js'
import { actingFor, type Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { authenticateJob, authenticateUser } from '../core/operations/authenticate.js'
import { createProject } from '../core/operations/create-project.js'
import type { Project } from '../core/project.js'
import { findProjectByPath } from '../core/store/projects.js'
import type { User } from '../core/store/users.js'
import { tokenPrefixes } from '../core/tokens/token.js'
import { challenge, notFound, Refusal } from './refusal.js'

export interface AccessRequest {
  /** The header `Authorization`. */
  authorization: string | undefined
  /** `group/project` */
  path: string
  right: 'read' | 'write'
  /** A push to a path that is free makes the project, if the user may. */
  create: boolean
}

/** What the request may do. `user` is null for a job, and for nobody at a public project. */
export interface Access {
  project: Project
  user: User | null
  /** What the user's level and rank come to, as `protection.ts` compares them; 0 where nothing is pushed. */
  standing: number
}

const readScopes = ['read_repository', 'write_repository', 'api']
const writeScopes = ['write_repository', 'api']

/**
 * Lets a request in. Throws a refusal: 401 without credentials that are good, 403 for a token that cannot do this
 * whatever the project, 404 for a project that is not there or not for this user.
 */
export async function authorize(core: Core, request: AccessRequest): Promise<Access> {
  const password = passwordOf(request.authorization)
  if (password === undefined) return anonymous(core, request)
  if (password.startsWith(tokenPrefixes.job)) return authorizeJob(core, request, password)
  const actor = await unlessUnknown(authenticateUser(core, password))
  const wanted = request.right === 'read' ? readScopes : writeScopes
  if (!wanted.some((scope) => actor.scopes.has(scope))) {
    throw new Refusal(403, `The token has none of the scopes ${wanted.join(', ')}.`)
  }
  const project = await findProjectByPath(core.store.read, request.path)
  if (!project) {
    const made = await make(core, request, actor)
    return { project: made, user: actor.user, standing: await standingIn(core.store.read, actor.user, made) }
  }
  if (!(await can(core, actor, 'read', project))) throw notFound()
  if (request.right === 'read' && !(await can(core, actor, 'download', project))) {
    throw new Refusal(403, 'You are not allowed to download code from this project.')
  }
  if (request.right === 'write' && !(await can(core, actor, 'operate', project))) {
    throw new Refusal(403, 'You are not allowed to push code to this project.')
  }
  if (request.right === 'write' && project.mirrored === 1) {
    throw new Refusal(403, 'The project mirrors another repository: push there.')
  }
  const standing = request.right === 'write' ? await standingIn(core.store.read, actor.user, project) : 0
  return { project, user: actor.user, standing }
}

async function anonymous(core: Core, { path, right }: AccessRequest): Promise<Access> {
  const project = right === 'read' ? await findProjectByPath(core.store.read, path) : undefined
  if (!project || !(await can(core, undefined, 'download', project))) throw challenge()
  return { project, user: null, standing: 0 }
}

/** A job reads its own project, and others that let it in, as long as its lease is open. */
async function authorizeJob(core: Core, { path, right }: AccessRequest, token: string): Promise<Access> {
  const { job } = await unlessUnknown(authenticateJob(core, token, 'read_repository'))
  if (right === 'write') throw new Refusal(403, 'A job token cannot push.')
  const project = await findProjectByPath(core.store.read, path)
  if (!project || !(await jobMay(core, job, 'download', project))) throw notFound()
  return { project, user: null, standing: 0 }
}

async function unlessUnknown<T>(authentication: Promise<T>): Promise<T> {
  try {
    return await authentication
  } catch (error) {
    throw error instanceof SignalboxError && error.code === 'unauthenticated' ? challenge() : error
  }
}

/** The first push to a free path: https://docs.gitlab.com/topics/git/project/ */
async function make(core: Core, { path, create }: AccessRequest, actor: Actor): Promise<Project> {
  const { user } = actor
  const [namespace, name, ...more] = path.split('/')
  if (!create || name === undefined || user.projectId !== null) throw notFound()
  const own = namespace?.toLowerCase() === user.username.toLowerCase() && more.length === 0
  try {
    // By its name alone, so that the namespace is made where there is none yet.
    return await createProject(actingFor(core, user), { path: own ? name : path, user })
  } catch (error) {
    const project = await findProjectByPath(core.store.read, path)
    // Two first pushes at once.
    if (project && (await can(core, actor, 'operate', project))) return project
    throw error instanceof SignalboxError && error.code === 'forbidden' ? notFound() : error
  }
}

/** The password of Basic credentials (RFC 7617), whatever the user name. */
function passwordOf(authorization: string | undefined): string | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 || colon === text.length - 1 ? undefined : text.slice(colon + 1)
}
