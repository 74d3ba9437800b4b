/** Releases of a project and their links: gitlab lib/api/releases.rb, lib/api/release/links.rb. Milestones there are none. */
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import { createRelease, deleteRelease, updateRelease } from '../../core/operations/edit-release.js'
import { createReleaseLink, deleteReleaseLink, updateReleaseLink } from '../../core/operations/edit-release-link.js'
import { linkTypes, type NewReleaseLink, type Release, type ReleaseLink } from '../../core/release.js'
import { usersById } from '../../core/store/related.js'
import { countReleases, findRelease, listReleaseLinks, listReleases, releaseOrders } from '../../core/store/releases.js'
import type { Reply, Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { queryOf } from '../../http/read-params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { toCommitBasic } from '../convert/commit.js'
import { toRelease, toReleaseLink } from '../convert/release.js'
import type { ReleaseEntity } from '../entities.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const read = { deed: 'read', jobToken: true } as const
const operate = { deed: 'operate', jobToken: true } as const
const base = '/projects/:id/releases'
const ofTag = `${base}/:tag_name`
const links = `${ofTag}/assets/links`

export const releaseRoutes: readonly Route[] = [
  projectRoute('get', base, read, list),
  projectRoute('post', base, operate, create),
  projectRoute('get', `${base}/permalink/latest`, read, (call) => latest(call, '')),
  projectRoute('get', `${base}/permalink/latest/*suffix_path`, read, (call) => latest(call, call.path('suffix_path'))),
  projectRoute('get', ofTag, read, async (call) => shown(call, await releaseOf(call))),
  projectRoute('put', ofTag, operate, update),
  projectRoute('delete', ofTag, operate, remove),
  projectRoute('get', `${ofTag}/downloads/*direct_asset_path`, read, download),
  projectRoute('get', links, read, listLinks),
  projectRoute('post', links, operate, createLink),
  projectRoute('get', `${links}/:link_id`, read, async (call) => linkShown(call, await linkOf(call))),
  projectRoute('put', `${links}/:link_id`, operate, updateLink),
  projectRoute('delete', `${links}/:link_id`, operate, removeLink),
]

async function list(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const page = requestedPage(call)
  const filter = {
    projectId: project.id,
    ...defined({ updatedBefore: params.time('updated_before'), updatedAfter: params.time('updated_after') }),
  }
  const order = {
    by: params.choice('order_by', releaseOrders) ?? 'released_at',
    sort: params.choice('sort', ['asc', 'desc']) ?? 'desc',
  }
  const { read } = core.store
  const [rows, total] = await Promise.all([listReleases(read, filter, page, order), countReleases(read, filter)])
  return pageReply(call, page, await entities(call, rows), total)
}

async function entities({ core, project }: ProjectCall, releases: readonly Release[]): Promise<ReleaseEntity[]> {
  const { read } = core.store
  const [found, authors] = await Promise.all([
    listReleaseLinks(
      read,
      releases.map((one) => one.id),
    ),
    usersById(
      read,
      releases.map((one) => one.authorId),
    ),
  ])
  const externalUrl = core.externalUrl()
  return Promise.all(
    releases.map(async (release) => {
      // A repository that is out of reach must not hide its releases.
      const commit = await core.repositories.commit(project, release.sha).catch(() => undefined)
      return toRelease(release, {
        project,
        links: found.filter((link) => link.releaseId === release.id),
        author: release.authorId === null ? undefined : authors.get(release.authorId),
        commit: commit ? toCommitBasic(commit, project, externalUrl) : null,
        externalUrl,
        now: core.clock.now(),
      })
    }),
  )
}

async function shown(call: ProjectCall, release: Release, status = 200): Promise<Reply> {
  const [body] = await entities(call, [release])
  return { status, body: body! }
}

const longestTag = 255

async function create(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  refuseMilestones(params)
  const release = await createRelease(core, {
    project,
    user: actor?.user ?? null,
    tag: params.requiredText('tag_name', { max: longestTag }),
    name: params.text('name', { max: 255 }) || undefined,
    description: params.text('description') ?? null,
    ref: params.text('ref', { max: 1024 }) || undefined,
    tagMessage: params.text('tag_message', { max: 64 * 1024 }),
    releasedAt: params.time('released_at'),
    links: (params.map('assets')?.maps('links') ?? []).map(fromNewLink),
  })
  return shown(call, release, 201)
}

/** GitLab refuses milestones that it does not find, and here there are none to find. */
function refuseMilestones(params: Params): void {
  const titles = params.texts('milestones', { commas: true })?.filter((title) => title !== '') ?? []
  if (titles.length === 0) return
  const message = `Milestone(s) not found: ${titles.join(', ')}`
  throw new SignalboxError('invalid', message, { details: { verbatim: true } })
}

async function update(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  refuseMilestones(params)
  const changes = defined({
    name: params.text('name', { max: 255 }) || undefined,
    description: params.text('description'),
    releasedAt: params.time('released_at'),
  })
  const known = ['milestones', 'milestone_ids', 'name', 'description', 'released_at']
  if (!known.some((name) => params.has(name))) {
    throw new SignalboxError('invalid', 'params is empty', { details: { verbatim: true } })
  }
  const of = { projectId: project.id, tag: call.path('tag_name'), changes }
  return shown(call, await updateRelease(core, of))
}

/** What it was is shown once more. */
async function remove(call: ProjectCall): Promise<Reply> {
  const { core, project } = call
  const release = await releaseOf(call)
  const reply = await shown(call, release)
  await deleteRelease(core, { projectId: project.id, tag: release.tag })
  return reply
}

async function releaseOf({ core, project, path }: ProjectCall): Promise<Release> {
  const release = await findRelease(core.store.read, project.id, path('tag_name'))
  if (!release) throw notFound()
  return release
}

/** Leads to the release that was, or will be, out last, with what follows in the address. */
async function latest(call: ProjectCall, suffix: string): Promise<Reply> {
  const { core, project, req } = call
  const [release] = await listReleases(core.store.read, { projectId: project.id }, { limit: 1, offset: 0 })
  if (!release) throw notFound()
  const rest = suffix === '' ? '' : `/${suffix.split('/').map(encodeURIComponent).join('/')}`
  const query = queryOf(req.url ?? '')
    .split('&')
    .filter((pair) => pair !== '' && !/^order_by(=|$)/.test(pair))
  const mark = query.length === 0 ? '' : `?${query.join('&')}`
  return redirect(`/api/v4/projects/${project.id}/releases/${encodeURIComponent(release.tag)}${rest}${mark}`)
}

function redirect(to: string): Reply {
  return { status: 302, text: '', headers: { Location: to, 'Cache-Control': 'no-store' } }
}

async function download(call: ProjectCall): Promise<Reply> {
  const release = await releaseOf(call)
  const filepath = `/${call.path('direct_asset_path')}`
  const link = (await linksOf(call, release)).find((one) => one.filepath === filepath)
  if (!link) throw notFound()
  return redirect(new URL(link.url).href)
}

function linksOf({ core }: ProjectCall, release: Release): Promise<ReleaseLink[]> {
  return listReleaseLinks(core.store.read, [release.id])
}

async function listLinks(call: ProjectCall): Promise<Reply> {
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

function fromNewLink(params: Params): NewReleaseLink {
  return {
    filepath: null,
    type: 'other',
    ...fromLink(params),
    name: params.requiredText('name', { max: 255 }),
    url: params.requiredText('url', { max: 2048 }),
  }
}

/** What a request says of a link; `filepath` is the old name of `direct_asset_path`. */
function fromLink(params: Params): Partial<NewReleaseLink> {
  const path = params.text('direct_asset_path', { max: 1024 }) ?? params.text('filepath', { max: 1024 })
  return defined({
    name: params.text('name', { max: 255 }),
    url: params.text('url', { max: 2048 }),
    filepath: path === undefined ? undefined : path || null,
    type: params.choice('link_type', linkTypes),
  })
}

async function createLink(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const { tag } = await releaseOf(call)
  const link = fromNewLink(params)
  return linkShown(call, await createReleaseLink(core, { projectId: project.id, tag }, link), 201)
}

async function updateLink(call: ProjectCall): Promise<Reply> {
  const { core, project, params, path } = call
  const { id: linkId } = await linkOf(call)
  if (!params.has('name') && !params.has('url')) {
    throw wrongParameter('name, url', 'are missing, at least one parameter must be provided')
  }
  const of = { projectId: project.id, tag: path('tag_name'), linkId }
  return linkShown(call, await updateReleaseLink(core, of, fromLink(params)))
}

async function removeLink(call: ProjectCall): Promise<Reply> {
  const { core, project, path } = call
  const { id: linkId } = await linkOf(call)
  return linkShown(call, await deleteReleaseLink(core, { projectId: project.id, tag: path('tag_name'), linkId }))
}
