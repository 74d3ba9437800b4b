/** What a person may do in a group: gitlab app/policies/group_policy.rb */
import { levels } from './member.js'
import type { Group } from './project.js'
import { levelInGroup, seesInGroup } from './store/member-levels.js'
import type { User } from './store/users.js'
import type { Reader, Tx } from './store/write.js'

/**
 * - `see`: its name and what of its content they may see
 * - `fill`: make projects in it
 * - `grow`: make groups in it
 * - `own`: change and delete it; its members, variables and runners
 */
export type GroupDeed = 'see' | 'fill' | 'grow' | 'own'

/** The level from which on a member of the group may do it: https://docs.gitlab.com/user/permissions/#group-members-permissions */
const groupLevelFor: Record<GroupDeed, number> = {
  see: levels.guest,
  fill: levels.developer,
  grow: levels.maintainer,
  own: levels.owner,
}

/** Whether the user may do this in the group, or in the namespace of a user. */
export async function canInGroup(from: Reader | Tx, user: User, deed: GroupDeed, group: Group): Promise<boolean> {
  if (user.isAdmin === 1) return true
  if (deed === 'see' && group.visibility !== 'private') return true
  if (user.projectId !== null) return false
  if ((await levelInGroup(from, user.id, group.id)) >= groupLevelFor[deed]) return true
  // Whoever may see something in a group must be able to find it.
  return deed === 'see' && (await seesInGroup(from, { userId: user.id, now: from.now }, group.id))
}
