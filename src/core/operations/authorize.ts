/**
 * What a person, or a job, may do. One function decides it for every door; what somebody may not read is, to them, not
 * there.
 *
 * | deed         | administrator | owner of the namespace | any user         | the project's own token | nobody signed in |
 * | ------------ | ------------- | ---------------------- | ---------------- | ----------------------- | ---------------- |
 * | `read`       | yes           | yes                    | internal, public | yes; public elsewhere   | public           |
 * | `operate`    | yes           | yes                    | no               | from developer on       | no               |
 * | `administer` | yes           | yes                    | no               | from maintainer on      | no               |
 */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import type { Project } from '../project.js'
import type { Runner } from '../runner.js'
import { isAllowed } from '../store/job-token-allowances.js'
import { findGroup, findProject, findProjectByPath } from '../store/projects.js'
import { runnerScope } from '../store/runners.js'
import { findTrace } from '../store/traces.js'
import { findUser, type User } from '../store/users.js'
import type { Reader, Tx } from '../store/write.js'
import type { Actor } from './authenticate.js'

/** `operate`: start, cancel, retry and play. `administer`: change settings and runners. */
export type Deed = 'read' | 'operate' | 'administer'

/** The access level from which on the user of a project's token may do it: https://docs.gitlab.com/user/permissions/ */
const levelFor: Record<Deed, number> = { read: 10, operate: 30, administer: 40 }

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
  if (deed === 'read' && project.visibility === 'public') return true
  if (actor && actor.user.projectId !== null) {
    return actor.user.projectId === project.id && (actor.user.accessLevel ?? 0) >= levelFor[deed]
  }
  if (deed === 'read' && project.visibility === 'internal' && actor) return true
  if (!actor) return false
  const group = await findGroup(from, project.groupId)
  return group?.kind === 'user' && group.ownerId === actor.user.id
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
  if (own && deed === 'read') return { user }
  const actor = user === null ? undefined : { user, scopes: new Set<string>() }
  if (!(await can(core, actor, deed, project))) return undefined
  const open = own || project.jobTokenScope === 0 || (await isAllowed(read, project.id, job.projectId))
  return open || (deed === 'read' && project.visibility !== 'private') ? { user } : undefined
}

/** The project of a path if this user (null: nobody) may read it: for what a pipeline takes from other projects. */
export async function readableProject(core: Core, path: string, user: User | null): Promise<Project | undefined> {
  const project = await findProjectByPath(core.store.read, path)
  if (!project) return undefined
  const actor = user === null ? undefined : { user, scopes: new Set<string>() }
  return (await can(core, actor, 'read', project)) ? project : undefined
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

/** Whether the actor may see and change a runner: those of the instance and of groups are the administrator's. */
export async function canManageRunner(core: Core, actor: Actor, runner: Runner): Promise<boolean> {
  if (actor.user.isAdmin === 1) return true
  if (runner.type !== 'project') return false
  for (const id of (await runnerScope(core.store.read, runner.id)).projectIds) {
    const project = await findProject(core.store.read, id)
    if (project && (await can(core, actor, 'administer', project))) return true
  }
  return false
}
