/** Who may deploy to a protected environment: https://docs.gitlab.com/ci/environments/protected_environments/ */
import { levelIn } from './authorize.js'
import { levels } from './member.js'
import type { Project } from './project.js'
import { findDeployers } from './store/environments.js'
import { findUser } from './store/users.js'
import type { Reader, Tx } from './store/write.js'

/**
 * Administrators, owners, and whom the protection names, by access level or one by one as long as they are members; nobody who is
 * blocked. Everybody where the environment is not protected. https://docs.gitlab.com/api/protected_environments/
 */
export async function mayDeploy(
  from: Reader | Tx,
  project: Pick<Project, 'id'>,
  name: string,
  userId: number | null,
): Promise<boolean> {
  const deployers = await findDeployers(from, project.id, name)
  if (!deployers) return true
  const user = userId === null ? undefined : await findUser(from, userId)
  if (user?.state !== 'active') return false
  const level = await levelIn(from, user, project)
  if (level >= levels.owner) return true
  return deployers.some((one) => (typeof one === 'object' ? level >= one.level : one === userId && level > 0))
}
