/** Links of releases to what belongs to them: gitlab lib/api/release/links.rb. */
import { createReleaseLink, deleteReleaseLink, updateReleaseLink } from '../../core/operations/edit-release-link.js'
import type { Release, ReleaseLink } from '../../core/release.js'
import { listReleaseLinks } from '../../core/store/releases.js'
import type { Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { fromLink, fromNewLink, toReleaseLink } from '../convert/release.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'
import { releaseOf, requireTag } from './releases.js'

const read = { deed: 'read', jobToken: true } as const
const operate = { deed: 'operate', jobToken: true } as const
const base = '/projects/:id/releases/:tag_name/assets/links'

export const releaseLinkRoutes: readonly Route[] = [
  projectRoute('get', base, read, list),
  projectRoute('post', base, operate, create),
  projectRoute('get', `${base}/:link_id`, read, async (call) => linkShown(call, await linkOf(call))),
  projectRoute('put', `${base}/:link_id`, operate, update),
  projectRoute('delete', `${base}/:link_id`, operate, remove),
]

function linksOf({ core }: ProjectCall, release: Release): Promise<ReleaseLink[]> {
  return listReleaseLinks(core.store.read, [release.id])
}
async function list(call: ProjectCall): Promise<Reply> {
  const page = requestedPage(call)
  const release = await releaseOf(call)
  const all = await linksOf(call, release)
  const body = all.slice(page.offset, page.offset + page.limit).map((link) => linkEntity(call, link))
  return pageReply(call, page, body, all.length)
}

function linkEntity({ core, project, path }: ProjectCall, link: ReleaseLink) {
  return toReleaseLink(link, { project, tag: path('tag_name'), externalUrl: core.externalUrl() })
}

function linkShown(call: ProjectCall, link: ReleaseLink, status = 200): Reply {
  return { status, body: linkEntity(call, link) }
}

async function linkOf(call: ProjectCall): Promise<ReleaseLink> {
  const id = idOf(call, 'link_id', 'Link')
  const link = (await linksOf(call, await releaseOf(call))).find((one) => one.id === id)
  if (!link) throw notFound()
  return link
}

async function create(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const { tag } = await changeableOf(call)
  const link = fromNewLink(params)
  return linkShown(call, await createReleaseLink(core, { projectId: project.id, tag }, link), 201)
}

/** The release of the path, for those who may change it. */
async function changeableOf(call: ProjectCall): Promise<Release> {
  const release = await releaseOf(call)
  await requireTag(call, release.tag)
  return release
}

async function update(call: ProjectCall): Promise<Reply> {
  await changeableOf(call)
  const { core, project, params, path } = call
  const { id: linkId } = await linkOf(call)
  if (!params.has('name') && !params.has('url')) {
    throw wrongParameter('name, url', 'are missing, at least one parameter must be provided')
  }
  const of = { projectId: project.id, tag: path('tag_name'), linkId }
  return linkShown(call, await updateReleaseLink(core, of, fromLink(params)))
}

async function remove(call: ProjectCall): Promise<Reply> {
  await changeableOf(call)
  const { core, project, path } = call
  const { id: linkId } = await linkOf(call)
  return linkShown(call, await deleteReleaseLink(core, { projectId: project.id, tag: path('tag_name'), linkId }))
}
