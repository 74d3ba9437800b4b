/**
 * What a person, or a job, may do. One function decides it for every door; what somebody may not read is, to them, not
 * there. Of people, administrators and the owner of the namespace may do everything in a project; others read where it is
 * internal, anybody where it is public. The project's own tokens may do what their level allows:
 * https://docs.gitlab.com/user/permissions/, gitlab app/policies/project_policy.rb
 */
import type { Core } from './core.js'
import type { Job } from './job.js'
import type { Project } from './project.js'
import type { Runner } from './runner.js'
import { isAllowed } from './store/job-token-allowances.js'
import type { Membership } from './store/lists.js'
import { findGroup, findProject, findProjectByPath, projectFacts } from './store/projects.js'
import { runnerScope } from './store/runners.js'
import { findTrace } from './store/traces.js'
import { findUser, type User } from './store/users.js'
import type { Reader, Tx } from './store/write.js'
/**
 * - `read`: see the project, its pipelines, jobs and logs
 * - `download`: see its code and environments
 * - `operate`: push, and start, cancel, retry and play what is not protected
 * - `administer`: the same for what is protected; change settings, variables and runners
 * - `own`: delete it, and decide who sees it
 */
export type Deed = 'read' | 'download' | 'operate' | 'administer' | 'own'

/** The access level from which on the user of a project's token may do it. */
const levelFor: Record<Deed, number> = { read: 10, download: 20, operate: 30, administer: 40, own: 50 }

const isReading = (deed: Deed) => deed === 'read' || deed === 'download'

/** Whether the actor (undefined: nobody has signed in) may do this in the project. */
export function can(
  core: Core,
  actor: Actor | undefined,
  deed: Deed,
  project: Pick<Project, 'id' | 'groupId' | 'visibility'>,
): Promise<boolean> {
  return canIn(core.store.read, actor, deed, project)
}

/** The same as a transaction sees it. */
export async function canIn(
  from: Reader | Tx,
  actor: Actor | undefined,
  deed: Deed,
  project: Pick<Project, 'id' | 'groupId' | 'visibility'>,
): Promise<boolean> {
  if (actor?.user.isAdmin === 1) return true
  if (isReading(deed) && project.visibility === 'public') return true
  if (actor && actor.user.projectId !== null) {
    if (actor.user.projectId !== project.id) return false
    return (isReading(deed) && project.visibility === 'internal') || (actor.user.accessLevel ?? 0) >= levelFor[deed]
  }
  if (isReading(deed) && project.visibility === 'internal' && actor) return true
  if (!actor) return false
  const group = await findGroup(from, project.groupId)
  return group?.kind === 'user' && group.ownerId === actor.user.id
}

/**
 * Whether the actor may push to a ref, and start and change what runs on it: what is protected is for those who may
 * administer the project. Rules: https://docs.gitlab.com/ci/pipelines/#pipeline-security-on-protected-branches
 */
export function canUpdateRef(
  from: Reader | Tx,
  actor: Actor | undefined,
  project: Pick<Project, 'id' | 'groupId' | 'visibility'>,
  isProtected: boolean,
): Promise<boolean> {
  return canIn(from, actor, isProtected ? 'administer' : 'operate', project)
}

/** A user as one who acts, without any token; undefined for nobody, and for one who is blocked. */
export function actingAs(user: User | null | undefined): Actor | undefined {
  return user?.state === 'active' ? { user, scopes: new Set() } : undefined
}

/**
 * As whom a job may do this in a project, by its token: as the user that it runs for, who must be allowed to. In its own
 * project a job may always read. In another one its project must be let in by the allowlist; where everybody may read,
 * it may read anyway. Undefined: it may not. `user` is null for a job that nobody has started.
 * Rules: gitlab app/models/ci/job_token/scope.rb, https://docs.gitlab.com/ci/jobs/ci_job_token/
 */
export async function jobMay(
  core: Core,
  job: Pick<Job, 'projectId' | 'userId'>,
  deed: Deed,
  project: Project,
): Promise<{ user: User | null } | undefined> {
  const { read } = core.store
  const own = job.projectId === project.id
  const found = job.userId === null ? undefined : await findUser(read, job.userId)
  const user = found?.state === 'active' ? found : null
  if (own && isReading(deed)) return { user }
  if (!(await can(core, actingAs(user), deed, project))) return undefined
  const open = own || project.jobTokenScope === 0 || (await isAllowed(read, project.id, job.projectId))
  return open || (isReading(deed) && project.visibility !== 'private') ? { user } : undefined
}

/** The project of a path if this user (null: nobody) may read its code: for what a pipeline takes from other projects. */
export async function readableProject(core: Core, path: string, user: User | null): Promise<Project | undefined> {
  const project = await findProjectByPath(core.store.read, path)
  if (!project) return undefined
  return (await can(core, actingAs(user), 'download', project)) ? project : undefined
}

/**
 * Whether the actor may read a job's log: who may read the project, but what a debugging shell prints only who may
 * operate it.
 */
export async function mayReadLog(
  core: Core,
  actor: Actor | undefined,
  project: Pick<Project, 'id' | 'groupId' | 'visibility'>,
  jobId: number,
): Promise<boolean> {
  const debug = (await findTrace(core.store.read, jobId))?.debug === 1
  return can(core, actor, debug ? 'operate' : 'read', project)
}

/**
 * Whether the actor may change a runner, and so what all its projects run on: those of the instance and of groups are the
 * administrator's, others belong to those who may administer every project that they serve.
 */
export async function canManageRunner(core: Core, actor: Actor, runner: Runner): Promise<boolean> {
  if (actor.user.isAdmin === 1) return true
  if (runner.type !== 'project') return false
  const { projectIds } = await runnerScope(core.store.read, runner.id)
  if (projectIds.length === 0) return false
  for (const id of projectIds) {
    const project = await findProject(core.store.read, id)
    if (!project || !(await can(core, actor, 'administer', project))) return false
  }
  return true
}

/**
 * Whether the actor may see a runner: one of the instance whoever has signed in, another one who may administer a project
 * that it serves. Rules: gitlab app/policies/ci/runner_policy.rb
 */
export async function canSeeRunner(core: Core, actor: Actor, runner: Runner): Promise<boolean> {
  const { user } = actor
  if (user.isAdmin === 1 || runner.type === 'instance') return true
  const { read } = core.store
  const { projectIds, groupIds } = await runnerScope(read, runner.id)
  if (runner.type === 'group') {
    const home = user.projectId === null ? undefined : await projectFacts(read, user.projectId)
    const serves = home?.groupRunnersEnabled === true && home.groupIds.some((id) => groupIds.includes(id))
    return serves && (user.accessLevel ?? 0) >= levelFor.administer
  }
  for (const id of projectIds) {
    const project = await findProject(read, id)
    if (project && (await can(core, actor, 'administer', project))) return true
  }
  return false
}

/** Whose projects the actor is at home in: those of a namespace, or the one of a project's token. */
export function memberOf({ user }: Actor): Membership {
  if (user.projectId === null) return { ownerId: user.id }
  return { projectId: (user.accessLevel ?? 0) >= levelFor.download ? user.projectId : 0 }
}

export interface Actor {
  user: User
  scopes: ReadonlySet<string>
  /** The access token that the user has shown; absent where a job or the server itself acts for the user. */
  tokenId?: number
}
