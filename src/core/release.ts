/** Releases: what a tag stands for, with links to what was built of it. */

export interface Release {
  id: number
  projectId: number
  tag: string
  name: string
  description: string | null
  /** The commit of the tag when the release was made. */
  sha: string
  authorId: number | null
  /** Milliseconds since 1970; later than now: it is upcoming. */
  releasedAt: number
  createdAt: number
  updatedAt: number
}

export const linkTypes = ['other', 'runbook', 'image', 'package'] as const

export interface ReleaseLink {
  id: number
  releaseId: number
  name: string
  url: string
  /** Begins with a slash: where the link is found below the release, whatever its address is. */
  filepath: string | null
  type: (typeof linkTypes)[number]
  createdAt: number
}

export type NewReleaseLink = Pick<ReleaseLink, 'name' | 'url' | 'filepath' | 'type'>
