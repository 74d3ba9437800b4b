/** Rows of releases and of their links. */
import type { NewReleaseLink, Release, ReleaseLink } from '../release.js'
import type { Page, Sort } from './page.js'
import type { Reader, Tx } from './write.js'

const columns = [
  'id',
  'project_id as projectId',
  'tag',
  'name',
  'description',
  'sha',
  'author_id as authorId',
  'released_at as releasedAt',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const

/** Which releases of a project a list shows. */
export interface ReleaseFilter {
  projectId: number
  /** Milliseconds since 1970, exclusive. */
  updatedBefore?: number
  updatedAfter?: number
}

/** What lists of releases may be ordered by. Rule: https://docs.gitlab.com/api/releases/ */
export const releaseOrders = ['released_at', 'created_at'] as const

function filtered(from: Reader, { projectId, updatedBefore, updatedAfter }: ReleaseFilter) {
  return from.db
    .selectFrom('releases')
    .where('project_id', '=', projectId)
    .$if(updatedBefore !== undefined, (q) => q.where('updated_at', '<', updatedBefore!))
    .$if(updatedAfter !== undefined, (q) => q.where('updated_at', '>', updatedAfter!))
}

/** Returns a page of releases, the newest first unless told. */
export function listReleases(
  from: Reader,
  filter: ReleaseFilter,
  page: Page,
  order: { by: (typeof releaseOrders)[number]; sort: Sort } = { by: 'released_at', sort: 'desc' },
): Promise<Release[]> {
  return filtered(from, filter)
    .select(columns)
    .orderBy(order.by, order.sort)
    .orderBy('id', order.sort)
    .limit(page.limit)
    .offset(page.offset)
    .execute()
}

/** Returns how many releases all pages of `listReleases` have. */
export async function countReleases(from: Reader, filter: ReleaseFilter): Promise<number> {
  const row = await filtered(from, filter)
    .select((e) => e.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Returns the project's release of a tag, of which there is one. */
export function findRelease(from: Reader | Tx, projectId: number, tag: string): Promise<Release | undefined> {
  return from.db
    .selectFrom('releases')
    .select(columns)
    .where('project_id', '=', projectId)
    .where('tag', '=', tag)
    .executeTakeFirst()
}

/** Inserts a release; without a date it is released now. */
export async function insertRelease(
  tx: Tx,
  release: Omit<Release, 'id' | 'createdAt' | 'updatedAt' | 'releasedAt'> & { releasedAt: number | undefined },
): Promise<Release> {
  const releasedAt = release.releasedAt ?? tx.now
  const { id } = await tx.db
    .insertInto('releases')
    .values({
      project_id: release.projectId,
      tag: release.tag,
      name: release.name,
      description: release.description,
      sha: release.sha,
      author_id: release.authorId,
      released_at: releasedAt,
      created_at: tx.now,
      updated_at: tx.now,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...release, releasedAt, id, createdAt: tx.now, updatedAt: tx.now }
}

/** What may be changed of a release; what is absent stays. */
export type ReleaseChanges = Partial<Pick<Release, 'name' | 'description' | 'releasedAt'>>

/** Changes what is given, and leaves the rest as it is. */
export async function saveRelease(tx: Tx, id: number, changes: ReleaseChanges): Promise<void> {
  const { name, description, releasedAt } = changes
  await tx.db
    .updateTable('releases')
    .set({
      updated_at: tx.now,
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(releasedAt === undefined ? {} : { released_at: releasedAt }),
    })
    .where('id', '=', id)
    .execute()
}

/** With its links. */
export async function deleteRelease(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('release_links').where('release_id', '=', id).execute()
  await tx.db.deleteFrom('releases').where('id', '=', id).execute()
}

const linkColumns = [
  'id',
  'release_id as releaseId',
  'name',
  'url',
  'filepath',
  'type',
  'created_at as createdAt',
] as const

/** Links of releases, newest first. */
export function listReleaseLinks(from: Reader | Tx, releaseIds: readonly number[]): Promise<ReleaseLink[]> {
  if (releaseIds.length === 0) return Promise.resolve([])
  return from.db
    .selectFrom('release_links')
    .select(linkColumns)
    .where('release_id', 'in', releaseIds)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute()
}

/** Inserts a link. The schema refuses a second one of the name, address or file path in a release. */
export async function insertReleaseLink(
  tx: Tx,
  release: Pick<Release, 'id' | 'projectId'>,
  link: NewReleaseLink,
): Promise<ReleaseLink> {
  const { id } = await tx.db
    .insertInto('release_links')
    .values({ project_id: release.projectId, release_id: release.id, ...link, created_at: tx.now })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { ...link, id, releaseId: release.id, createdAt: tx.now }
}

/** Replaces all that a link says. */
export async function saveReleaseLink(tx: Tx, id: number, link: NewReleaseLink): Promise<void> {
  await tx.db.updateTable('release_links').set(link).where('id', '=', id).execute()
}

/** Deletes a link; nothing happens when it is gone already. */
export async function deleteReleaseLink(tx: Tx, id: number): Promise<void> {
  await tx.db.deleteFrom('release_links').where('id', '=', id).execute()
}
