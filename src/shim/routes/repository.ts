/** What is in a project's repository: branches, tags, commits, folders and files. Reading only: pushes come by git. */
import { createHash } from 'node:crypto'
import { SignalboxError } from '../../core/errors.js'
import type { FileContent, RefEntry } from '../../core/repository-browser.js'
import { listPipelines } from '../../core/store/pipeline-lists.js'
import type { Reply, Route } from '../../http/call.js'
import { attachment } from '../../http/headers.js'
import { wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toBranch, toCommit, toDiff, toTag, toTreeEntry } from '../convert/commit.js'
import { toPipelineBasic } from '../convert/pipeline.js'
import type { CommitDetailEntity, CommitEntity, CommitStatsEntity } from '../entities.js'
import { notFound } from '../errors.js'
import { keysetReply, pageReply, requestedPage } from '../pages.js'

const read = { deed: 'download', jobToken: true } as const
const base = '/projects/:id/repository'

export const repositoryRoutes: readonly Route[] = [
  projectRoute('get', `${base}/branches`, read, (call) => listRefs(call, 'branches')),
  projectRoute('get', `${base}/branches/:name`, read, (call) => showRef(call, 'branches', 'Branch')),
  projectRoute('get', `${base}/tags`, read, (call) => listRefs(call, 'tags')),
  projectRoute('get', `${base}/tags/:name`, read, (call) => showRef(call, 'tags', 'Tag')),
  projectRoute('get', `${base}/commits`, read, listCommits),
  projectRoute('get', `${base}/commits/:sha`, read, async (call) => ({
    status: 200,
    body: await commitDetail(call, await commitOf(call)),
  })),
  projectRoute('get', `${base}/commits/:sha/diff`, read, async (call) => {
    const entries = await call.core.repositories.browser.diff(call.project, undefined, await commitOf(call))
    const page = requestedPage(call)
    return pageReply(call, page, entries.slice(page.offset, page.offset + page.limit).map(toDiff), entries.length)
  }),
  projectRoute('get', `${base}/tree`, read, tree),
  projectRoute('get', `${base}/files/:file_path`, read, file),
  projectRoute('get', `${base}/files/:file_path/raw`, read, rawFile),
  projectRoute('get', `${base}/blobs/:sha`, read, async (call) => {
    const { id, bytes } = await blobOf(call)
    return { status: 200, body: { size: bytes.length, encoding: 'base64', content: bytes.toString('base64'), sha: id } }
  }),
  projectRoute('get', `${base}/blobs/:sha/raw`, read, async (call) => {
    const { id, bytes } = await blobOf(call)
    return sendBytes(call, id, bytes)
  }),
  projectRoute('get', `${base}/compare`, read, compare),
  projectRoute('get', `${base}/merge_base`, read, mergeBase),
]

async function listRefs(call: ProjectCall, kind: 'branches' | 'tags'): Promise<Reply> {
  const { core, project, params } = call
  const search = params.text('search', { max: 255 }) ?? ''
  const page = requestedPage(call)
  const all = (await core.repositories.browser.listRefs(project, kind)).filter((ref) => matches(ref.name, search))
  const shown = all.slice(page.offset, page.offset + page.limit)
  return pageReply(call, page, await Promise.all(shown.map((ref) => refEntity(call, ref, kind))), all.length)
}

/** `^begin`, `end$`, or a part, as GitLab searches refs. */
function matches(name: string, search: string): boolean {
  if (search.startsWith('^')) return name.startsWith(search.slice(1))
  if (search.endsWith('$')) return name.endsWith(search.slice(0, -1))
  return name.toLowerCase().includes(search.toLowerCase())
}

async function showRef(call: ProjectCall, kind: 'branches' | 'tags', what: string): Promise<Reply> {
  const name = call.path('name')
  const ref = (await call.core.repositories.browser.listRefs(call.project, kind)).find((one) => one.name === name)
  if (!ref) throw notFound(what)
  return { status: 200, body: await refEntity(call, ref, kind) }
}

async function refEntity(call: ProjectCall, ref: RefEntry, kind: 'branches' | 'tags'): Promise<object> {
  const commit = ref.sha === undefined ? null : await commitEntity(call, ref.sha)
  return kind === 'tags' ? toTag(ref, commit) : toBranch(ref, commit, call.project, call.core.externalUrl())
}

async function commitEntity({ core, project }: ProjectCall, sha: string): Promise<CommitEntity> {
  return toCommit(await core.repositories.browser.commit(project, sha), project, core.externalUrl())
}

/** With the newest pipeline that ran at it: gitlab lib/api/entities/commit_detail.rb. */
async function commitDetail(call: ProjectCall, sha: string): Promise<CommitDetailEntity> {
  const { core, project } = call
  const wanted = { projectId: project.id, sha, child: false } as const
  const [[newest], commit, stats] = await Promise.all([
    listPipelines(core.store.read, wanted, { limit: 1, offset: 0 }),
    commitEntity(call, sha),
    call.params.boolean('stats') === false ? {} : commitStats(call, sha),
  ])
  return {
    ...commit,
    ...stats,
    status: newest?.status ?? null,
    project_id: project.id,
    last_pipeline: newest ? toPipelineBasic(newest, project, core.externalUrl()) : null,
  }
}

async function commitStats({ core, project }: ProjectCall, sha: string): Promise<{ stats: CommitStatsEntity }> {
  const { additions, deletions } = await core.repositories.browser.lineCounts(project, sha)
  return { stats: { additions, deletions, total: additions + deletions } }
}

/** The commit that the path names: by its id, or by a branch or tag. */
async function commitOf(call: ProjectCall): Promise<string> {
  const sha = await findCommit(call, call.path('sha'))
  if (sha === undefined) throw notFound('Commit')
  return sha
}

/** The commit that a parameter names; `HEAD` and nothing are the default branch. */
async function commitIn(call: ProjectCall, ref: string | undefined, what: string): Promise<string> {
  const sha = await findCommit(call, ref || 'HEAD')
  if (sha === undefined) throw notFound(what)
  return sha
}

async function findCommit({ core, project }: ProjectCall, revision: string): Promise<string | undefined> {
  try {
    return await core.repositories.browser.findCommit(project, revision)
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') return undefined
    throw error
  }
}

/** Newest first and not counted. */
async function listCommits(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const page = requestedPage(call)
  const path = params.text('path', { max: 4096 })
  const since = params.time('since')
  const until = params.time('until')
  const sha = params.boolean('all')
    ? undefined
    : await findCommit(call, params.text('ref_name', { max: 1024 }) || 'HEAD')
  // An empty repository has no commits; a ref that is not there is one.
  if (sha === undefined && params.text('ref_name')) throw notFound('Commit')
  if (sha === undefined && !params.boolean('all')) return pageReply(call, page, [], undefined)
  const filter = {
    ...(sha === undefined ? {} : { sha }),
    ...(path ? { path } : {}),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  }
  const ids = await core.repositories.browser.history(project, filter, { limit: page.limit + 1, offset: page.offset })
  const withStats = params.boolean('with_stats')
  const entity = async (id: string) => ({
    ...(await commitEntity(call, id)),
    ...(withStats ? await commitStats(call, id) : {}),
  })
  return pageReply(call, page, await Promise.all(ids.map(entity)), undefined)
}

const typeOrder = { tree: 0, blob: 1, commit: 2 }

/** Folders first. `pagination=keyset` goes on after the entry of the id `page_token`. */
async function tree(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const path = params.text('path', { max: 4096 }) ?? ''
  const recursive = params.boolean('recursive') ?? false
  const page = requestedPage(call)
  const sha = await commitIn(call, params.text('ref', { max: 1024 }), 'Tree')
  const entries = await core.repositories.browser.listTree(project, sha, path, { recursive })
  if (!entries) throw notFound('invalid revision or path')
  if (!recursive) entries.sort((a, b) => typeOrder[a.type] - typeOrder[b.type])
  if (params.text('pagination') === 'keyset') {
    const token = params.text('page_token', { max: 64 })
    const start = token ? entries.findIndex((entry) => entry.id === token) + 1 : 0
    if (token && start === 0) throw wrongParameter('page_token')
    const shown = entries.slice(start, start + page.perPage)
    const next = start + page.perPage < entries.length ? shown.at(-1)?.id : undefined
    return keysetReply(call, shown.map(toTreeEntry), page.perPage, next, 'page_token')
  }
  const shown = entries.slice(page.offset, page.offset + page.limit)
  return pageReply(call, page, shown.map(toTreeEntry), entries.length)
}

async function fileOf(call: ProjectCall): Promise<{ file: FileContent; path: string; sha: string; ref: string }> {
  const { core, project, params } = call
  const path = call.path('file_path')
  const ref = params.text('ref', { max: 1024 }) || 'HEAD'
  const sha = await commitIn(call, ref, 'Commit')
  const found = await core.repositories.browser.readFile(project, sha, path)
  if (!found) throw notFound('File')
  return { file: found, path, sha, ref: ref === 'HEAD' ? project.defaultBranch : ref }
}

async function file(call: ProjectCall): Promise<Reply> {
  const { core, project } = call
  const { file: found, path, sha, ref } = await fileOf(call)
  const [last] = await core.repositories.browser.history(project, { sha, path }, { limit: 1, offset: 0 })
  const about = {
    file_name: path.slice(path.lastIndexOf('/') + 1),
    file_path: path,
    size: found.bytes.length,
    encoding: 'base64',
    content_sha256: createHash('sha256').update(found.bytes).digest('hex'),
    ref,
    blob_id: found.id,
    commit_id: sha,
    last_commit_id: last ?? sha,
    execute_filemode: found.mode === '100755',
  }
  const headers = Object.fromEntries(
    Object.entries(about).map(([name, value]) => [`X-Gitlab-${name.replaceAll('_', '-')}`, encodeURI(String(value))]),
  )
  return { status: 200, body: { ...about, content: found.bytes.toString('base64') }, headers }
}

async function rawFile(call: ProjectCall): Promise<undefined> {
  const { file: found, path } = await fileOf(call)
  return sendBytes(call, path.slice(path.lastIndexOf('/') + 1), found.bytes)
}

async function blobOf({ core, project, path }: ProjectCall): Promise<{ id: string; bytes: Buffer }> {
  const id = path('sha')
  const bytes = await core.repositories.browser.readBlob(project, id)
  if (!bytes) throw notFound('Blob')
  return { id, bytes }
}

/** Never shown by a browser as a page of ours. */
function sendBytes({ res, requestId }: ProjectCall, name: string, bytes: Buffer): undefined {
  res.writeHead(200, {
    'Content-Disposition': attachment(name),
    'Content-Length': bytes.length,
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Content-Type': bytes.includes(0) ? 'application/octet-stream' : 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  })
  res.end(bytes)
  return undefined
}

const mostCompared = 1000

/** What `to` has since it parted from `from`; with `straight` what differs between the two. */
async function compare(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const { browser } = core.repositories
  const from = await commitIn(call, params.requiredText('from', { max: 1024 }), 'Commit')
  const to = await commitIn(call, params.requiredText('to', { max: 1024 }), 'Commit')
  const base = params.boolean('straight') ? from : ((await browser.mergeBase(project, from, to)) ?? from)
  const ids = await browser.commitsBetween(project, from, to, mostCompared)
  const commits = await Promise.all(ids.toReversed().map((id) => commitEntity(call, id)))
  const diffs = await browser.diff(project, base, to)
  return {
    status: 200,
    body: {
      commit: commits.at(-1) ?? null,
      commits,
      diffs: diffs.map(toDiff),
      compare_timeout: false,
      compare_same_ref: from === to,
      web_url: `${core.externalUrl()}/${project.fullPath}/-/compare/${from}...${to}`,
    },
  }
}

/** `refs[]`: two. */
async function mergeBase(call: ProjectCall): Promise<Reply> {
  const refs = call.params.texts('refs') ?? []
  if (refs.length !== 2) throw wrongParameter('refs', refs.length === 0 ? 'is missing' : 'must be two')
  const [one, other] = await Promise.all(refs.map((ref) => commitIn(call, ref, 'Ref')))
  const sha = await call.core.repositories.browser.mergeBase(call.project, one!, other!)
  if (sha === undefined) throw notFound('Merge Base')
  return { status: 200, body: await commitEntity(call, sha) }
}
