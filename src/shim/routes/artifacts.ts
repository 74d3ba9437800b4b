/** Artifacts of running jobs: a runner uploads its own, and downloads those of the jobs before. */

import { pipeline } from 'node:stream/promises'
import type { Artifact } from '../../core/artifact.js'
import type { Core } from '../../core/core.js'
import { SignalboxError } from '../../core/errors.js'
import { mayFetchForeign } from '../../core/operations/may-fetch-foreign.js'
import { type AboutArtifact, storeArtifact } from '../../core/operations/store-artifact.js'
import { findArtifact } from '../../core/store/artifacts.js'
import { findJob } from '../../core/store/jobs.js'
import type { Call, Reply, Route } from '../../http/call.js'
import type { Pair } from '../../http/form.js'
import { attachment, requestedRange } from '../../http/headers.js'
import { readOneFile } from '../../http/multipart.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { mediaType } from '../../http/read-params.js'
import { idOf, tokenRoute } from '../call.js'
import { notFound } from '../errors.js'

export const artifactRoutes: readonly Route[] = [
  tokenRoute('post', '/jobs/:id/artifacts/authorize', authorize),
  tokenRoute('post', '/jobs/:id/artifacts', upload, { streams: true }),
  tokenRoute('get', '/jobs/:id/artifacts', download),
]

/** Asked by GitLab's own proxy before it takes the bytes in. */
async function authorize(call: Call): Promise<Reply> {
  const { access, req, params, core } = call
  await access.job(req, params.text('token'), idOf(call, 'id', 'Job'), 'artifacts')
  const size = params.integer('filesize', { min: 0 })
  if (size !== undefined && size > core.settings.artifactLimitBytes) throw tooLarge(core)
  return { status: 200, body: { MaximumSize: core.settings.artifactLimitBytes } }
}

async function upload(call: Call): Promise<Reply> {
  const { core, access, req, res, params } = call
  const jobId = idOf(call, 'id', 'Job')
  const { lease } = await access.job(req, params.text('token'), jobId, 'artifacts')
  if (mediaType(req.headers['content-type']) !== 'multipart/form-data') throw wrongParameter('file', 'is missing')
  const { artifactLimitBytes } = core.settings
  const file = await readOneFile(req, res, core.clock, { field: 'file', limitBytes: artifactLimitBytes })
  const about = () => aboutArtifact(params, file.fields)
  try {
    const { fence } = lease
    await storeArtifact(core, { jobId, fence, filename: cleanName(file.filename), body: file.body, about })
  } finally {
    file.body.destroy()
  }
  return { status: 201, text: '201' }
}

/** What the query and the fields of the form say, of which a field counts; GitLab Runner uses the one, other runners the other. */
function aboutArtifact(query: Params, fields: readonly Pair[]): AboutArtifact {
  const given = new Map(fields)
  const text = (name: string) => (given.get(name) ?? query.text(name, { max: 255 })) || undefined
  return { type: text('artifact_type'), format: text('artifact_format'), expireIn: text('expire_in') }
}

function tooLarge(core: Core): SignalboxError {
  return new SignalboxError('too_large', `an artifact may have ${core.settings.artifactLimitBytes} bytes`)
}

const longestName = 255

/** The base name of what the sender calls the file. Throws `invalid` for one that leaves nothing usable. */
function cleanName(given: string): string {
  const name = given.split(/[/\\]/).at(-1)!.trim()
  const odd = name === '' || name === '.' || name === '..' || /\p{Cc}/u.test(given)
  if (odd || Buffer.byteLength(name) > longestName) throw wrongParameter('file', 'has a name that cannot be kept')
  return name
}

/**
 * The archive of a job, for that job itself, a running job of the same project, or one whose `needs:project` name it.
 * Whoever belongs elsewhere is told that there is none.
 */
async function download(call: Call): Promise<undefined> {
  const { core, access, req, params } = call
  const jobId = idOf(call, 'id', 'Job')
  const { job } = await access.job(req, params.text('token') || params.text('job_token'), undefined, 'artifacts')
  const owner = await findJob(core.store.read, jobId)
  if (!owner || owner.erasedAt !== null) throw notFound()
  if (owner.projectId !== job.projectId && !(await mayFetchForeign(core, job, owner))) throw notFound()
  await sendArtifact(call, await findArtifact(core.store.read, jobId, 'archive'))
}

/**
 * Sends a file, or the range of it that is asked for; with `direct_download` the address of the bytes, where they have one.
 * Throws `not_found` for one that is expired or gone.
 */
export async function sendArtifact(call: Call, artifact: Artifact | undefined): Promise<void> {
  const { core, req, res, requestId, params } = call
  const expired = artifact?.expiresAt != null && artifact.expiresAt <= core.clock.now()
  if (!artifact || expired || !(await core.artifacts.exists(artifact.location))) throw notFound()
  if (params.boolean('direct_download')) {
    const location = await core.artifacts.link?.(artifact.location, artifact.filename)
    if (location !== undefined) {
      res.writeHead(302, { Location: location, 'Cache-Control': 'no-store', 'X-Request-Id': requestId }).end()
      return
    }
  }
  const { sizeBytes } = artifact
  const range = requestedRange(req.headers.range, sizeBytes)
  res.writeHead(range ? 206 : 200, {
    'Accept-Ranges': 'bytes',
    'Content-Disposition': attachment(artifact.filename),
    'Content-Length': range ? range.end - range.start + 1 : sizeBytes,
    ...(range ? { 'Content-Range': `bytes ${range.start}-${range.end}/${sizeBytes}` } : {}),
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'Content-Type': 'application/octet-stream',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  })
  if (req.method === 'HEAD' || sizeBytes === 0) {
    res.end()
    return
  }
  // A reader that goes away ends the file stream with it.
  await pipeline(core.artifacts.open(artifact.location, range), res).catch(() => res.destroy())
}
