/** Releases and their links, as gitlab lib/api/entities/release.rb and releases/link.rb show them. Archives of the sources are not offered. */
import { defined } from '../../core/defined.js'
import type { Project } from '../../core/project.js'
import { linkTypes, type NewReleaseLink, type Release, type ReleaseLink } from '../../core/release.js'
import type { User } from '../../core/store/users.js'
import type { Params } from '../../http/params.js'
import type { CommitEntity, ReleaseEntity, ReleaseLinkEntity } from '../entities.js'
import { toIso } from './time.js'
import { toUserBasic } from './user.js'

export interface ReleaseContext {
  project: Project
  links: readonly ReleaseLink[]
  author: User | undefined
  commit: CommitEntity | null
  externalUrl: string
  now: number
}

export function toRelease(release: Release, context: ReleaseContext): ReleaseEntity {
  const { project, links, author, commit, externalUrl, now } = context
  const { tag, sha, releasedAt } = release
  return {
    name: release.name,
    tag_name: tag,
    description: release.description,
    created_at: toIso(release.createdAt),
    released_at: toIso(releasedAt),
    ...(author ? { author: toUserBasic(author, externalUrl) } : {}),
    commit,
    upcoming_release: releasedAt > now,
    commit_path: `/${project.fullPath}/-/commit/${sha}`,
    tag_path: `/${project.fullPath}/-/tags/${encodeURIComponent(tag)}`,
    assets: {
      count: links.length,
      sources: [],
      links: links.map((link) => toReleaseLink(link, { project, tag, externalUrl })),
    },
    evidences: [],
    _links: { self: urlOf(externalUrl, project, tag) },
  }
}

export function toReleaseLink(
  { id, name, url, filepath, type }: ReleaseLink,
  of: { project: Project; tag: string; externalUrl: string },
): ReleaseLinkEntity {
  const direct = filepath === null ? url : `${urlOf(of.externalUrl, of.project, of.tag)}/downloads${filepath}`
  return { id, name, url, direct_asset_url: direct, link_type: type }
}

function urlOf(externalUrl: string, project: Project, tag: string): string {
  return `${externalUrl}/${project.fullPath}/-/releases/${encodeURIComponent(tag)}`
}

/** A link that a request makes. */
export function fromNewLink(params: Params): NewReleaseLink {
  return {
    filepath: null,
    type: 'other',
    ...fromLink(params),
    name: params.requiredText('name', { max: 255 }),
    url: params.requiredText('url', { max: 2048 }),
  }
}

/** What a request says of a link; `filepath` is the old name of `direct_asset_path`. */
export function fromLink(params: Params): Partial<NewReleaseLink> {
  const path = params.text('direct_asset_path', { max: 1024 }) ?? params.text('filepath', { max: 1024 })
  return defined({
    name: params.text('name', { max: 255 }),
    url: params.text('url', { max: 2048 }),
    filepath: path === undefined ? undefined : path || null,
    type: params.choice('link_type', linkTypes),
  })
}
