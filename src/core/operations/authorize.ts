/**
 * What a person may do. One function decides it for every door; what somebody may not read is, to them, not there.
 *
 * | deed         | administrator | owner of the namespace | any user          | nobody signed in |
 * | ------------ | ------------- | ---------------------- | ----------------- | ---------------- |
 * | `read`       | yes           | yes                    | internal, public  | public           |
 * | `operate`    | yes           | yes                    | no                | no               |
 * | `administer` | yes           | yes                    | no                | no               |
 */
import type { Core } from '../core.js'
import type { Project } from '../project.js'
import type { Runner } from '../runner.js'
import { findGroup, findProject, findProjectByPath } from '../store/projects.js'
import { runnerScope } from '../store/runners.js'
import { findTrace } from '../store/traces.js'
import type { User } from '../store/users.js'
import type { Actor } from './authenticate.js'

/** `operate`: start, cancel, retry and play. `administer`: change settings and runners. */
export type Deed = 'read' | 'operate' | 'administer'

/** Whether the actor (undefined: nobody has signed in) may do this in the project. */
export async function can(
  core: Core,
  actor: Actor | undefined,
  deed: Deed,
  project: Pick<Project, 'groupId' | 'visibility'>,
): Promise<boolean> {
  if (actor?.user.isAdmin === 1) return true
  if (deed === 'read') {
    if (project.visibility === 'public') return true
    if (project.visibility === 'internal' && actor) return true
  }
  if (!actor) return false
  const group = await findGroup(core.store.read, project.groupId)
  return group?.kind === 'user' && group.ownerId === actor.user.id
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
  project: Pick<Project, 'groupId' | 'visibility'>,
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
