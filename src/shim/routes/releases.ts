/** Releases of a project: gitlab lib/api/releases.rb. Milestones there are none. */
import { canPushTo } from '../../core/authorize.js'
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import { createRelease, deleteRelease, updateRelease } from '../../core/operations/edit-release.js'
import type { Release } from '../../core/release.js'
import { usersById } from '../../core/store/related.js'
import { countReleases, findRelease, listReleaseLinks, listReleases, releaseOrders } from '../../core/store/releases.js'
import type { Reply, Route } from '../../http/call.js'
import type { Params } from '../../http/params.js'
import { queryOf } from '../../http/read-params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toCommitBasic } from '../convert/commit.js'
import { fromNewLink, toRelease } from '../convert/release.js'
import type { ReleaseEntity } from '../entities.js'
import { forbidden, notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const read = { deed: 'read', jobToken: true } as const
const operate = { deed: 'operate', jobToken: true } as const
const base = '/projects/:id/releases'
const ofTag = `${base}/:tag_name`

export const releaseRoutes: readonly Route[] = [
  projectRoute('get', base, read, list),
  projectRoute('post', base, operate, create),
  projectRoute('get', `${base}/permalink/latest`, read, (call) => latest(call, '')),
  projectRoute('get', `${base}/permalink/latest/*suffix_path`, read, (call) => latest(call, call.path('suffix_path'))),
  projectRoute('get', ofTag, read, async (call) => shown(call, await releaseOf(call))),
  projectRoute('put', ofTag, operate, update),
  projectRoute('delete', ofTag, operate, remove),
  projectRoute('get', `${ofTag}/downloads/*direct_asset_path`, read, download),
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
  const tag = params.requiredText('tag_name', { max: longestTag })
  await requireTag(call, tag, 'You are not allowed to create this tag as it is protected.')
  const release = await createRelease(core, {
    project,
    user: actor?.user ?? null,
    tag,
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
  await requireTag(call, (await releaseOf(call)).tag)
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
  await requireTag(call, release.tag)
  const reply = await shown(call, release)
  await deleteRelease(core, { projectId: project.id, tag: release.tag })
  return reply
}

/** The release of the path. Throws `not_found`. */
export async function releaseOf({ core, project, path }: ProjectCall): Promise<Release> {
  const release = await findRelease(core.store.read, project.id, path('tag_name'))
  if (!release) throw notFound()
  return release
}

/** A release of a protected tag is for those who may make the tag. Rule: gitlab app/policies/release_policy.rb */
export async function requireTag({ core, actor, project }: ProjectCall, name: string, why?: string): Promise<void> {
  if (!(await canPushTo(core.store.read, actor, project, { name, tag: true }))) throw forbidden(why)
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
  const link = (await listReleaseLinks(call.core.store.read, [release.id])).find((one) => one.filepath === filepath)
  if (!link) throw notFound()
  return redirect(new URL(link.url).href)
}
