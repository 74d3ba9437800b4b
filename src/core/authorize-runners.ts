/** Who may see a runner, and who may change it: gitlab app/policies/ci/runner_policy.rb */
import { type Actor, can, levelFor } from './authorize.js'
import { canInGroup } from './authorize-groups.js'
import type { Core } from './core.js'
import { levels } from './member.js'
import type { Runner } from './runner.js'
import { levelInGroup } from './store/member-levels.js'
import { findGroup, findProject, projectFacts } from './store/projects.js'
import { runnerScope } from './store/runners.js'

/**
 * Whether the actor may change a runner, and so what all its projects run on: those of the instance are the administrator's,
 * those of groups the owners', others belong to those who may administer every project that they serve.
 */
export async function canManageRunner(core: Core, actor: Actor, runner: Runner): Promise<boolean> {
  const { read } = core.store
  if (actor.user.isAdmin === 1) return true
  if (runner.type === 'instance') return false
  const { projectIds, groupIds } = await runnerScope(read, runner.id)
  if (projectIds.length + groupIds.length === 0) return false
  for (const id of groupIds) {
    const group = await findGroup(read, id)
    if (!group || !(await canInGroup(read, actor.user, 'own', group))) return false
  }
  for (const id of projectIds) {
    const project = await findProject(read, id)
    if (!project || !(await can(core, actor, 'administer', project))) return false
  }
  return true
}

/**
 * Whether the actor may see a runner: one of the instance whoever has signed in, another one who is a maintainer of a group
 * or project that it belongs to. Rules: gitlab app/policies/ci/runner_policy.rb
 */
export async function canSeeRunner(core: Core, actor: Actor, runner: Runner): Promise<boolean> {
  const { user } = actor
  if (user.isAdmin === 1 || runner.type === 'instance') return true
  const { read } = core.store
  const { projectIds, groupIds } = await runnerScope(read, runner.id)
  if (runner.type === 'group' && user.projectId === null) {
    for (const id of groupIds) if ((await levelInGroup(read, user.id, id)) >= levels.maintainer) return true
    return false
  }
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
