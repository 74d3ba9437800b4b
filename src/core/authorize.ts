/**
 * What a person, or a job, may do. One function decides it for every door; what somebody may not read is, to them, not
 * there. Administrators may do everything; members of a project, or of a group above it, what their level allows; others read
 * where it is internal, anybody where it is public:
 * https://docs.gitlab.com/user/permissions/, gitlab app/policies/project_policy.rb
 */
import type { Core } from './core.js'
import { isOfFork } from './forge.js'
import type { Job } from './job.js'
import { levels, type Place } from './member.js'
import type { Pipeline } from './pipeline.js'
import type { Project, ResolvedRef } from './project.js'
import { isProtected, mergeLevel, pushLevel, standing, updateLevel } from './protection.js'
import type { Membership } from './store/job-lists.js'
import { isAllowed } from './store/job-token-allowances.js'
import { levelInGroup, levelInProject } from './store/member-levels.js'
import { findPipeline } from './store/pipelines.js'
import { findProjectByPath } from './store/projects.js'
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

/** The level from which on a member may do it. */
export const levelFor: Record<Deed, number> = {
  read: levels.guest,
  download: levels.reporter,
  operate: levels.developer,
  administer: levels.maintainer,
  own: levels.owner,
}

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
  if (!actor) return false
  const { user } = actor
  // Tokens of projects and groups see there what they are for, and what everybody may.
  const isOutsider = user.groupId !== null || (user.projectId !== null && user.projectId !== project.id)
  if (isReading(deed) && project.visibility === 'internal' && !isOutsider) return true
  return (await levelIn(from, user, project)) >= levelFor[deed]
}

/** The user's level in a project; 0: none. An administrator has the highest. */
export async function levelIn(from: Reader | Tx, user: User, project: Pick<Project, 'id'>): Promise<number> {
  if (user.isAdmin === 1) return levels.owner
  if (user.projectId === null) return levelInProject(from, user.id, project.id)
  return user.projectId === project.id ? (user.accessLevel ?? 0) : 0
}

/** The same in a project or group. */
export function levelInPlace(from: Reader | Tx, user: User, place: Place): Promise<number> {
  if ('projectId' in place) return levelIn(from, user, { id: place.projectId })
  if (user.isAdmin === 1) return Promise.resolve(levels.owner)
  return user.projectId === null ? levelInGroup(from, user.id, place.groupId) : Promise.resolve(0)
}

/**
 * Whether the actor may start and change what runs on a ref: what is protected is for those whom the protection names.
 * Rules: https://docs.gitlab.com/ci/pipelines/#pipeline-security-on-protected-branches
 */
export function canUpdateRef(
  from: Reader | Tx,
  actor: Actor | undefined,
  project: Project,
  ref: Pick<ResolvedRef, 'name' | 'tag'>,
): Promise<boolean> {
  return hasStanding(from, actor, project, updateLevel(project, ref))
}

/**
 * Whether the actor may change what a pipeline runs: what was made for a protected ref has its secrets, and stays a
 * maintainer's also when the ref is protected no longer.
 */
export function canUpdatePipeline(
  from: Reader | Tx,
  actor: Actor | undefined,
  project: Project,
  pipeline: Pick<Pipeline, 'ref' | 'tag' | 'protected'>,
): Promise<boolean> {
  const ref = { name: pipeline.ref, tag: pipeline.tag === 1 }
  const opened = pipeline.protected === 1 && !isProtected(project, ref)
  return hasStanding(from, actor, project, opened ? levels.maintainer : updateLevel(project, ref))
}

/** Whether the actor may push to the branch, or make the tag. */
export function canPushTo(
  from: Reader | Tx,
  actor: Actor | undefined,
  project: Project,
  ref: Pick<ResolvedRef, 'name' | 'tag'>,
): Promise<boolean> {
  return hasStanding(from, actor, project, pushLevel(project, ref))
}

/** Whether the actor may merge into the branch. */
export function canMergeInto(
  from: Reader | Tx,
  actor: Actor | undefined,
  project: Project,
  branch: string,
): Promise<boolean> {
  return hasStanding(from, actor, project, mergeLevel(project, branch))
}

async function hasStanding(
  from: Reader | Tx,
  actor: Actor | undefined,
  project: Pick<Project, 'id'>,
  level: number,
): Promise<boolean> {
  return actor !== undefined && (await standingIn(from, actor.user, project)) >= level
}

/** What the user's level in the project and rank come to, as `protection.ts` compares them. */
export async function standingIn(from: Reader | Tx, user: User, project: Pick<Project, 'id'>): Promise<number> {
  return standing(await levelIn(from, user, project), user.isAdmin === 1)
}

/** A user as one who acts, without any token; undefined for nobody, and for one who is blocked. */
export function actingAs(user: User | null | undefined): Actor | undefined {
  return user?.state === 'active' ? { user, scopes: new Set() } : undefined
}

/**
 * As whom a job may do this in a project, by its token: as the user that it runs for, who must be allowed to. In its own
 * project a job may always read. In another one its project must be let in by the allowlist; where everybody may read,
 * it may read anyway. Undefined: it may not. `user` is null for a job that nobody has started. Jobs of a fork's request only read, and
 * only what is their own project's or everybody's, whoever has started them.
 * Rules: gitlab app/models/ci/job_token/scope.rb, https://docs.gitlab.com/ci/jobs/ci_job_token/
 */
export async function jobMay(
  core: Core,
  job: Pick<Job, 'projectId' | 'userId' | 'pipelineId'>,
  deed: Deed,
  project: Project,
): Promise<{ user: User | null } | undefined> {
  const { read } = core.store
  const own = job.projectId === project.id
  const pipeline = own && deed === 'download' ? undefined : await findPipeline(read, job.pipelineId)
  if (pipeline && isOfFork(pipeline)) {
    const open = own || project.visibility === 'public'
    return open && isReading(deed) ? { user: null } : undefined
  }
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

/** Whose projects the actor is at home in: those that it is a member of, or the one of a project's token. */
export function memberOf({ user }: Actor, now: number): Membership {
  if (user.projectId === null) return { viewer: { userId: user.id, now }, level: levelFor.download }
  return { projectId: (user.accessLevel ?? 0) >= levelFor.download ? user.projectId : 0 }
}

export interface Actor {
  user: User
  scopes: ReadonlySet<string>
  /** The access token that the user has shown; absent where a job or the server itself acts for the user. */
  tokenId?: number
  /** The session that the user acts in, where it has signed in in a browser. */
  sessionId?: number
}
