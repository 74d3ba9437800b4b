/** Statuses of a commit: its jobs, and the checks that outside systems tell of. */
import { defined } from '../../core/defined.js'
import { SignalboxError } from '../../core/errors.js'
import { externalStates, setCommitStatus } from '../../core/operations/set-commit-status.js'
import { type CommitStatus, listCommitStatuses } from '../../core/store/external-statuses.js'
import { usersById } from '../../core/store/related.js'
import type { User } from '../../core/store/users.js'
import type { Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toIso } from '../convert/time.js'
import { toUserBasic } from '../convert/user.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

export const statusRoutes: readonly Route[] = [
  projectRoute('post', '/projects/:id/statuses/:sha', { deed: 'operate' }, set),
  projectRoute('get', '/projects/:id/repository/commits/:sha/statuses', { deed: 'download' }, list),
]

async function set(call: ProjectCall): Promise<Reply> {
  const { core, project, params, actor } = call
  const state = params.choice('state', externalStates)
  if (state === undefined) throw wrongParameter('state', 'is missing')
  const targetUrl = params.text('target_url', { max: 255 })
  if (targetUrl && !/^https?:\/\//.test(targetUrl)) throw wrongParameter('target_url')
  const sha = await shaOf(call)
  const input = {
    project,
    sha,
    ref: params.text('ref', { max: 255 }) || undefined,
    name: params.text('name', { max: 255 }) || params.text('context', { max: 255 }) || 'default',
    state,
    targetUrl,
    description: params.text('description', { max: 255 }),
    coverage: coverageIn(call),
    pipelineId: params.integer('pipeline_id', { min: 1 }),
    userId: actor?.user.id ?? null,
  }
  try {
    const job = await setCommitStatus(core, input)
    const [status] = await listCommitStatuses(
      core.store.read,
      { projectId: project.id, sha, jobId: job.id, all: true },
      { limit: 1, offset: 0 },
    )
    return { status: 201, body: toStatus(status!, actor?.user, core.externalUrl()) }
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') throw notFound('Pipeline')
    if (error instanceof SignalboxError && error.code === 'invalid') {
      throw new SignalboxError('invalid', error.message, { details: { verbatim: true } })
    }
    throw error
  }
}

function coverageIn({ params }: ProjectCall): number | undefined {
  const given = params.text('coverage', { loose: true, max: 32 })
  if (given === undefined || given === '') return undefined
  const percent = Number(given)
  if (!Number.isFinite(percent) || percent < 0 || percent > 100) throw wrongParameter('coverage')
  return percent
}

/** A full commit id, or a ref that stands for one. */
async function shaOf({ core, project, path }: ProjectCall): Promise<string> {
  const resolved = await core.repositories.resolve(project, path('sha'))
  if (!resolved) throw notFound('Commit')
  return resolved.sha
}

async function list(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const text = (name: string) => params.text(name, { max: 255 }) || undefined
  const page = requestedPage(call)
  const wanted = { ref: text('ref'), name: text('name'), stage: text('stage'), all: params.boolean('all') }
  const rows = await listCommitStatuses(
    core.store.read,
    {
      projectId: project.id,
      sha: await shaOf(call),
      ...defined(wanted),
    },
    { ...page, limit: page.perPage + 1 },
  )
  const users = await usersById(
    core.store.read,
    rows.map((row) => row.userId),
  )
  const body = rows.map((row) =>
    toStatus(row, row.userId === null ? undefined : users.get(row.userId), core.externalUrl()),
  )
  return pageReply(call, page, body, undefined)
}

function toStatus(status: CommitStatus, author: User | undefined, externalUrl: string): object {
  return {
    id: status.id,
    sha: status.sha,
    ref: status.ref,
    status: status.status,
    name: status.name,
    target_url: status.targetUrl,
    description: status.description,
    created_at: toIso(status.createdAt),
    started_at: toIso(status.startedAt),
    finished_at: toIso(status.finishedAt),
    allow_failure: status.allowFailure === 1,
    coverage: status.coverage,
    pipeline_id: status.pipelineId,
    author: author ? toUserBasic(author, externalUrl) : null,
  }
}
