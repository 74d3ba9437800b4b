/** Artifacts, for people and scripts: the archive, single files out of it, and how long it lives. */
import { pipeline } from 'node:stream/promises'
import type { Artifact } from '../../core/artifact.js'
import { SignalboxError } from '../../core/errors.js'
import type { Job } from '../../core/job.js'
import { deleteJobArtifacts } from '../../core/operations/erase-job.js'
import { findLatestArchive } from '../../core/operations/find-latest-archive.js'
import { expireProjectArtifacts, keepArtifacts } from '../../core/operations/keep-artifacts.js'
import { findArtifact } from '../../core/store/artifacts.js'
import { getJob } from '../../core/store/jobs.js'
import type { Reply, Route } from '../../http/call.js'
import { refined } from '../../http/errors.js'
import { attachment } from '../../http/headers.js'
import { wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { notFound } from '../errors.js'
import { jobEntity } from '../job-entities.js'
import { pageReply, requestedPage } from '../pages.js'
import { sendArtifact } from './artifacts.js'
import { changeableJob, jobOf } from './jobs.js'

const read = { deed: 'read', jobToken: true } as const
const operate = { deed: 'operate', jobToken: true } as const
const administer = { deed: 'administer', jobToken: true } as const

export const jobArtifactRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/jobs/artifacts/*ref_name/download', read, async (call) => {
    await sendArtifact(call, await archiveOf(call, await latestJob(call)))
    return undefined
  }),
  projectRoute('get', '/projects/:id/jobs/artifacts/*ref_name/raw/*artifact_path', read, async (call) =>
    sendEntry(call, await latestJob(call)),
  ),
  projectRoute('get', '/projects/:id/jobs/:job_id/artifacts', read, async (call) => {
    await sendArtifact(call, await archiveOf(call, await jobOf(call)))
    return undefined
  }),
  projectRoute('get', '/projects/:id/jobs/:job_id/artifacts/tree', read, list),
  projectRoute('post', '/projects/:id/jobs/:job_id/artifacts/keep', operate, keep),
  projectRoute('get', '/projects/:id/jobs/:job_id/artifacts/*artifact_path', read, async (call) =>
    sendEntry(call, await jobOf(call)),
  ),
  projectRoute('delete', '/projects/:id/jobs/:job_id/artifacts', administer, remove),
  projectRoute('delete', '/projects/:id/artifacts', administer, async ({ core, project }) => {
    await expireProjectArtifacts(core, project.id)
    return { status: 202, body: { message: '202 Accepted' } }
  }),
]

/** The job whose archive `ref_name` and `job` mean. */
async function latestJob({ core, project, params, path }: ProjectCall): Promise<Job> {
  const ref = path('ref_name')
  const job = params.requiredText('job', { max: 1024 })
  const recent = params.boolean('search_recent_successful_pipelines') ?? false
  const id = await findLatestArchive(core, { projectId: project.id, ref, job, recent })
  if (id === undefined) throw notFound('Job')
  return getJob(core.store.read, id)
}

/** The archive of a job, if it is still to be had. */
async function archiveOf({ core }: ProjectCall, job: Job): Promise<Artifact> {
  const archive = job.erasedAt === null ? await findArtifact(core.store.read, job.id, 'archive') : undefined
  const expired = archive?.expiresAt != null && archive.expiresAt <= core.clock.now()
  if (!archive || expired || !(await core.artifacts.exists(archive.location))) throw notFound()
  return archive
}

/** One file out of the archive, unpacked on the way. What it is, is not guessed: no browser shall run it. */
async function sendEntry(call: ProjectCall, job: Job): Promise<undefined> {
  const { core, req, res, requestId } = call
  const path = call.path('artifact_path')
  if (path.split('/').some((part) => part === '.' || part === '..')) throw wrongParameter('artifact_path')
  const entry = await core.archives.open(await archiveOf(call, job), path, whileAsked(call))
  if (!entry) throw notFound()
  res.writeHead(200, {
    'Content-Disposition': attachment(path.split('/').at(-1)!),
    'Content-Length': entry.size,
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Content-Type': 'application/octet-stream',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  })
  if (req.method === 'HEAD') {
    entry.body.destroy()
    res.end()
    return undefined
  }
  await pipeline(entry.body, res).catch(() => res.destroy())
  return undefined
}

/** `path`: a directory of the archive; `recursive`: all that is below it. */
async function list(call: ProjectCall): Promise<Reply> {
  const { core, params } = call
  const page = requestedPage(call)
  const { offset, limit } = page
  const path = params.text('path', { max: 4096 }) ?? ''
  const options = { path, recursive: params.boolean('recursive') ?? false, offset, limit }
  const listed = await core.archives.list(await archiveOf(call, await jobOf(call)), options, whileAsked(call))
  if (!listed) throw notFound('Path')
  if (listed === 'unreadable') throw refined('invalid', 'unprocessable', 'the archive cannot be listed')
  const body = listed.entries.map(({ path, type, size, mode }) => ({
    name: path.replace(/\/$/, '').split('/').at(-1),
    path,
    type,
    ...(type === 'file' ? { size } : {}),
    mode,
  }))
  return pageReply(call, page, body, listed.total)
}

/** Ends when nobody waits for the answer any more. */
function whileAsked({ res }: ProjectCall): AbortSignal {
  const ended = new AbortController()
  const end = () => ended.abort(new SignalboxError('unavailable', 'nobody waits for the answer'))
  if (res.destroyed) end()
  else res.once('close', end)
  return ended.signal
}

async function keep(call: ProjectCall): Promise<Reply> {
  const job = await changeableJob(call)
  try {
    await keepArtifacts(call.core, job.id)
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') throw notFound()
    throw error
  }
  return { status: 200, body: await jobEntity(call.core, job) }
}

async function remove(call: ProjectCall): Promise<Reply> {
  await deleteJobArtifacts(call.core, (await jobOf(call)).id)
  return { status: 204 }
}
