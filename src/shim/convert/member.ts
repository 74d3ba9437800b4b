/** Members, as gitlab lib/api/entities/member.rb shows them, and the groups that are let in. */
import type { Place, Share } from '../../core/member.js'
import type { Group } from '../../core/project.js'
import { listShares, type MemberRow } from '../../core/store/members.js'
import { groupsById } from '../../core/store/related.js'
import type { User } from '../../core/store/users.js'
import type { Reader } from '../../core/store/write.js'
import type { MemberEntity, ShareEntity } from '../entities.js'
import { toDate, toIso } from './time.js'
import { toUserBasic } from './user.js'

/** `createdBy`: who has let the member in. */
export function toMember(member: MemberRow, createdBy: User | undefined, externalUrl: string): MemberEntity {
  return {
    ...toUserBasic(member.user, externalUrl),
    access_level: member.accessLevel,
    created_at: toIso(member.createdAt),
    expires_at: member.expiresAt === null ? null : toDate(member.expiresAt),
    membership_state: 'active',
    ...(createdBy ? { created_by: toUserBasic(createdBy, externalUrl) } : {}),
  }
}

/** The groups that are let into the place, of those that `sees` says somebody may know of. */
export async function sharesOf(
  from: Reader,
  place: Place,
  sees: (group: Group) => Promise<boolean>,
): Promise<ShareEntity[]> {
  const shares = await listShares(from, place)
  const groups = await groupsById(
    from,
    shares.map((share) => share.sharedWithId),
  )
  const shown: ShareEntity[] = []
  for (const share of shares) {
    const group = groups.get(share.sharedWithId)
    if (group && (await sees(group))) shown.push(toShare(share, group))
  }
  return shown
}

function toShare(share: Share, group: Group): ShareEntity {
  return {
    group_id: group.id,
    group_name: group.name,
    group_full_path: group.fullPath,
    group_access_level: share.accessLevel,
    expires_at: share.expiresAt === null ? null : toDate(share.expiresAt),
  }
}
