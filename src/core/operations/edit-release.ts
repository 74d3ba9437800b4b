/**
 * People and jobs make, change and delete releases. Rules and sentences: gitlab app/services/releases/*.rb,
 * app/services/tags/create_service.rb.
 */
import { actingAs, canPushTo } from '../authorize.js'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Project } from '../project.js'
import { isProtected } from '../protection.js'
import type { NewReleaseLink, Release } from '../release.js'
import {
  deleteRelease as deleteRow,
  findRelease,
  insertRelease,
  insertReleaseLink,
  type ReleaseChanges,
  saveRelease,
} from '../store/releases.js'
import type { User } from '../store/users.js'
import { createPipeline } from './create-pipeline.js'
import { checkReleaseLink } from './edit-release-link.js'

/** A release, with the tag that is made for it where it is missing. */
export interface CreateReleaseInput {
  project: Project
  user: User | null
  tag: string
  name: string | undefined
  description: string | null
  /** Where the tag is made if it is not there: a commit, branch or tag. */
  ref: string | undefined
  /** Makes an annotated tag. */
  tagMessage: string | undefined
  /** Milliseconds since 1970; undefined: now. */
  releasedAt: number | undefined
  links: readonly NewReleaseLink[]
}

/**
 * Returns the release. A tag that is missing is made, and has its pipeline as a pushed one has. Throws `conflict` for a second
 * release of a tag; `invalid` for a tag that can neither be found nor made, and for links that are not right.
 */
export async function createRelease(core: Core, input: CreateReleaseInput): Promise<Release> {
  const { project, user, tag } = input
  if (await findRelease(core.store.read, project.id, tag)) throw exists()
  for (const [i, link] of input.links.entries()) checkReleaseLink(link, input.links.slice(0, i))
  const found = await resolveTag(core, project, tag)
  const sha = found ?? (await makeTag(core, input))
  const release = await core.store.write(async (tx) => {
    if (await findRelease(tx, project.id, tag)) throw exists()
    const made = await insertRelease(tx, {
      projectId: project.id,
      tag,
      name: input.name ?? tag,
      description: input.description,
      sha,
      authorId: user?.id ?? null,
      releasedAt: input.releasedAt,
    })
    for (const link of input.links) await insertReleaseLink(tx, made, link)
    return made
  })
  if (found === undefined) await runTag(core, input, sha)
  return release
}

async function resolveTag(core: Core, project: Project, tag: string): Promise<string | undefined> {
  return (await core.repositories.resolve(project, `refs/tags/${tag}`))?.sha
}

/** Returns the commit that the new tag names. */
async function makeTag(core: Core, { project, user, tag, ref, tagMessage }: CreateReleaseInput): Promise<string> {
  const wanted = { name: tag, tag: true }
  // As by a push: https://docs.gitlab.com/user/project/protected_tags/
  if (isProtected(project, wanted) && !(await canPushTo(core.store.read, actingAs(user), project, wanted))) {
    throw new SignalboxError(
      'forbidden',
      '403 Forbidden - You are not allowed to create this tag as it is protected.',
      {
        details: { verbatim: true },
      },
    )
  }
  if (!ref) throw refusal('Ref is not specified', 'unprocessable')
  // What is fetched from elsewhere follows the tags there.
  if (project.mirrored === 1) throw refusal('Tags of a mirrored repository are made where it is mirrored from')
  const target = await core.repositories.resolve(project, ref)
  if (!target) throw refusal(`Target ${ref} is invalid`)
  const made = await core.repositories.createTag(project, {
    name: tag,
    sha: target.sha,
    message: tagMessage?.trim() || undefined,
    by: user,
    at: core.clock.now(),
  })
  if (made === 'invalid') throw refusal('Tag name invalid')
  if (made === 'blocked') throw refusal(`Tag ${tag} cannot stand above or below another tag`)
  if (made === 'exists') throw new SignalboxError('conflict', `Tag ${tag} already exists`, { details: verbatim })
  return target.sha
}

/** The release is there: what its tag runs is not its maker's trouble. */
async function runTag(core: Core, { project, user, tag }: CreateReleaseInput, sha: string): Promise<void> {
  const ref = `refs/tags/${tag}`
  const about = { projectId: project.id, ref, source: 'push', user, sha, onInvalid: 'keep' } as const
  await createPipeline(core, about).catch((error: unknown) => {
    const refused = error instanceof SignalboxError && error.code === 'invalid'
    core.log[refused ? 'info' : 'error']({ err: error, project: project.id, ref }, 'a new tag made no pipeline')
  })
}

/** Returns the release as it is then. Throws `not_found`. */
export function updateRelease(
  core: Core,
  { projectId, tag, changes }: { projectId: number; tag: string; changes: ReleaseChanges },
): Promise<Release> {
  return core.store.write(async (tx) => {
    const release = await findRelease(tx, projectId, tag)
    if (!release) throw missing()
    await saveRelease(tx, release.id, changes)
    return { ...release, ...changes, updatedAt: tx.now }
  })
}

/** Its tag stays. Returns the release that is gone. Throws `not_found`. */
export function deleteRelease(core: Core, { projectId, tag }: { projectId: number; tag: string }): Promise<Release> {
  return core.store.write(async (tx) => {
    const release = await findRelease(tx, projectId, tag)
    if (!release) throw missing()
    await deleteRow(tx, release.id)
    return release
  })
}

const verbatim = { verbatim: true }

function refusal(message: string, refinement?: 'unprocessable'): SignalboxError {
  return new SignalboxError('invalid', message, { details: { ...verbatim, ...(refinement && { refinement }) } })
}

function exists(): SignalboxError {
  return new SignalboxError('conflict', 'Release already exists', { details: verbatim })
}

function missing(): SignalboxError {
  return new SignalboxError('not_found', 'Release does not exist', { details: verbatim })
}
