/** Rows of members of groups and projects, and of groups that are let into others. */
import { type RawBuilder, sql } from 'kysely'
import type { Member, Place, Share } from '../member.js'
import { usersById } from './related.js'
import type { User } from './users.js'
import type { Reader, Tx } from './write.js'

const memberColumns = [
  'members.user_id as userId',
  'members.access_level as accessLevel',
  'members.expires_at as expiresAt',
  'members.created_by_id as createdById',
  'members.created_at as createdAt',
  'members.issuer',
] as const

export type MemberRow = Member & { user: User }

/** The members of a place itself, by their user's id. Those that have expired are left out. */
export async function listMembers(from: Reader | Tx, place: Place): Promise<MemberRow[]> {
  const rows = await from.db
    .selectFrom('members')
    .select(memberColumns)
    .where(columnOf(place), '=', idOfPlace(place))
    .where((e) => e.or([e('expires_at', 'is', null), e('expires_at', '>', from.now)]))
    .orderBy('user_id')
    .execute()
  const users = await usersById(
    from,
    rows.map((row) => row.userId),
  )
  return rows.map((row) => ({ ...row, user: users.get(row.userId)! }))
}

/** Everybody with a level in the place, from wherever it follows, by the user's id. */
export async function listAllMembers(from: Reader | Tx, place: Place): Promise<MemberRow[]> {
  const own = 'projectId' in place ? sql`project_id = ${place.projectId}` : sql`1 = 0`
  const { rows } = await sql<Member>`
    with recursive above (id, parent_id) as (
      ${groupsAt(place)} union select groups.id, groups.parent_id from groups join above on groups.id = above.parent_id
    ),
    guests (id, parent_id, cap, until) as (
      select groups.id, groups.parent_id, group_shares.access_level, group_shares.expires_at
      from group_shares join groups on groups.id = group_shares.shared_with_id
      where (group_shares.group_id in (select id from above) or ${own})
        and (group_shares.expires_at is null or group_shares.expires_at > ${from.now})
      union select groups.id, groups.parent_id, guests.cap, guests.until
        from groups join guests on groups.id = guests.parent_id
    )
    select user_id as "userId", access_level as "accessLevel", expires_at as "expiresAt",
      created_by_id as "createdById", created_at as "createdAt"
    from members
    where (members.group_id in (select id from above) or ${own}) and (expires_at is null or expires_at > ${from.now})
    union all
    select user_id, case when members.access_level < guests.cap then members.access_level else guests.cap end,
      coalesce(members.expires_at, guests.until), members.created_by_id, members.created_at
    from members join guests on guests.id = members.group_id
    where members.expires_at is null or members.expires_at > ${from.now}
    union all
    select owner_id, 50, null, null, created_at from groups where owner_id is not null and id in (select id from above)
    order by 1, 2 desc`.execute(from.db)
  const highest = new Map<number, Member>()
  for (const row of rows) if (!highest.has(row.userId)) highest.set(row.userId, row)
  const users = await usersById(from, [...highest.keys()])
  return [...highest.values()].flatMap((member) => {
    const user = users.get(member.userId)
    return user ? [{ ...member, user }] : []
  })
}

function groupsAt(place: Place): RawBuilder<unknown> {
  return 'projectId' in place
    ? sql`select groups.id, groups.parent_id from groups join projects on projects.group_id = groups.id
        where projects.id = ${place.projectId}`
    : sql`select id, parent_id from groups where id = ${place.groupId}`
}

/** Undefined: the user is no member of the place itself, or no longer. */
export async function findMember(from: Reader | Tx, place: Place, userId: number): Promise<Member | undefined> {
  const row = await from.db
    .selectFrom('members')
    .select(memberColumns)
    .where(columnOf(place), '=', idOfPlace(place))
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return row && (row.expiresAt === null || row.expiresAt > from.now) ? row : undefined
}

/** Inserts the member, or gives it what is told now. */
export async function saveMember(tx: Tx, place: Place, member: Omit<Member, 'createdAt'>): Promise<void> {
  await deleteMember(tx, place, member.userId)
  await insertMember(tx, place, member)
}

/** Inserts a member of a place where it is none, or not any more. Of two at once the index lets one in. */
export async function insertMember(tx: Tx, place: Place, member: Omit<Member, 'createdAt'>): Promise<void> {
  const { userId, accessLevel, expiresAt, createdById, issuer = null } = member
  await tx.db
    .deleteFrom('members')
    .where(columnOf(place), '=', idOfPlace(place))
    .where('user_id', '=', userId)
    .where('expires_at', '<=', tx.now)
    .execute()
  await tx.db
    .insertInto('members')
    .values({
      user_id: userId,
      project_id: 'projectId' in place ? place.projectId : null,
      group_id: 'groupId' in place ? place.groupId : null,
      access_level: accessLevel,
      expires_at: expiresAt,
      created_by_id: createdById,
      created_at: tx.now,
      issuer,
    })
    .execute()
}

/** What changes of a member that is there; from then on it follows from no provider's groups. */
export async function updateMember(
  tx: Tx,
  place: Place,
  userId: number,
  { accessLevel, expiresAt }: Pick<Member, 'accessLevel' | 'expiresAt'>,
): Promise<void> {
  await tx.db
    .updateTable('members')
    .set({ access_level: accessLevel, expires_at: expiresAt, issuer: null })
    .where(columnOf(place), '=', idOfPlace(place))
    .where('user_id', '=', userId)
    .execute()
}

export async function deleteMember(tx: Tx, place: Place, userId: number): Promise<void> {
  await tx.db
    .deleteFrom('members')
    .where(columnOf(place), '=', idOfPlace(place))
    .where('user_id', '=', userId)
    .execute()
}

/** How many owners the group itself has besides this user who are people, not blocked, and do not expire. */
export async function countOtherOwners(tx: Tx, groupId: number, userId: number): Promise<number> {
  const row = await tx.db
    .selectFrom('members')
    .innerJoin('users', 'users.id', 'members.user_id')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('members.group_id', '=', groupId)
    .where('members.user_id', '!=', userId)
    .where('members.access_level', '=', 50)
    .where('members.expires_at', 'is', null)
    .where('users.state', '=', 'active')
    .where('users.group_id', 'is', null)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** The groups that are let into the place itself, by their id. */
export function listShares(from: Reader | Tx, place: Place): Promise<Share[]> {
  return from.db
    .selectFrom('group_shares')
    .select(['shared_with_id as sharedWithId', 'access_level as accessLevel', 'expires_at as expiresAt'])
    .where('projectId' in place ? 'project_id' : 'group_id', '=', idOfPlace(place))
    .where((e) => e.or([e('expires_at', 'is', null), e('expires_at', '>', from.now)]))
    .orderBy('shared_with_id')
    .execute()
}

export async function saveShare(tx: Tx, place: Place, share: Share): Promise<void> {
  await deleteShare(tx, place, share.sharedWithId)
  await tx.db
    .insertInto('group_shares')
    .values({
      project_id: 'projectId' in place ? place.projectId : null,
      group_id: 'groupId' in place ? place.groupId : null,
      shared_with_id: share.sharedWithId,
      access_level: share.accessLevel,
      expires_at: share.expiresAt,
      created_at: tx.now,
    })
    .execute()
}

/** How the group is let into the place itself; undefined: it is not, or no longer. */
export async function findShare(from: Reader | Tx, place: Place, sharedWithId: number): Promise<Share | undefined> {
  return (await listShares(from, place)).find((share) => share.sharedWithId === sharedWithId)
}

/** Returns whether there was one. */
export async function deleteShare(tx: Tx, place: Place, sharedWithId: number): Promise<boolean> {
  const { numDeletedRows } = await tx.db
    .deleteFrom('group_shares')
    .where('projectId' in place ? 'project_id' : 'group_id', '=', idOfPlace(place))
    .where('shared_with_id', '=', sharedWithId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

function columnOf(place: Place): 'members.project_id' | 'members.group_id' {
  return 'projectId' in place ? 'members.project_id' : 'members.group_id'
}

function idOfPlace(place: Place): number {
  return 'projectId' in place ? place.projectId : place.groupId
}
