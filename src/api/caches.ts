/**
 * Caches of jobs. Runners restore and save them, by the token of the job:
 *
 * - `GET /jobs/:id/caches?key=…`: the archive, or where it is to be had
 * - `PUT /jobs/:id/caches?key=…`: the archive as the body
 *
 * and people clear them: `POST /projects/:id/clear-caches`, the project by its id or path.
 */
import { pipeline } from 'node:stream/promises'
import { can } from '../core/authorize.js'
import { SignalboxError } from '../core/errors.js'
import { clearCaches } from '../core/operations/evict-caches.js'
import { storeCache } from '../core/operations/store-cache.js'
import { useCache } from '../core/operations/use-cache.js'
import { findProject, findProjectByPath } from '../core/store/projects.js'
import { streamBody } from '../http/body.js'
import { type Call, idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import { signedInRoute } from './route.js'

export const cacheRoutes: readonly Route[] = [
  { method: 'get', path: '/jobs/:id/caches', streams: true, handle: restore },
  { method: 'put', path: '/jobs/:id/caches', streams: true, handle: save },
  signedInRoute('post', '/projects/:id/clear-caches', clear),
]

async function restore(call: Call): Promise<undefined> {
  const { core, req, res, requestId } = call
  const { job } = await jobOf(call)
  const cache = await useCache(core, job, keyOf(call))
  if (!cache) throw new SignalboxError('not_found', 'there is no cache of this key')
  const elsewhere = await core.caches.link?.(cache.location, 'cache.zip')
  if (elsewhere !== undefined) {
    res.writeHead(302, { Location: elsewhere, 'Cache-Control': 'no-store', 'X-Request-Id': requestId }).end()
    return
  }
  res.writeHead(200, {
    'Content-Length': cache.sizeBytes,
    'Content-Type': 'application/octet-stream',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  })
  if (req.method === 'HEAD' || cache.sizeBytes === 0) {
    res.end()
    return
  }
  await pipeline(core.caches.open(cache.location), res).catch(() => res.destroy())
}

async function save(call: Call): Promise<Reply> {
  const { core, req, res } = call
  const { job, lease } = await jobOf(call)
  const key = keyOf(call)
  const body = streamBody(req, res, core.clock, core.settings.caches.entryBytes)
  try {
    await storeCache(core, { job, fence: lease.fence, key, body })
  } finally {
    body.destroy()
  }
  return { status: 201 }
}

async function clear(call: UserCall): Promise<Reply> {
  const { core, actor } = call
  const given = call.path('id')
  const id = idFrom(given)
  const { read } = core.store
  const project = await (id === undefined ? findProjectByPath(read, given) : findProject(read, id))
  if (!project || !(await can(core, actor, 'read', project))) {
    throw new SignalboxError('not_found', 'there is no such project')
  }
  if (!(await can(core, actor, 'operate', project))) {
    throw new SignalboxError('forbidden', 'caches are cleared by those who may operate the project')
  }
  const cleared = await clearCaches(core, project.id)
  return {
    status: 200,
    body: { project_id: project.id, cache_index: cleared.project.cacheIndex, deleted: cleared.deleted },
  }
}

function keyOf({ params }: Call): string {
  return params.text('key', { max: 4096 }) ?? ''
}

/** The job of the address, by its own token from the header. */
function jobOf(call: Call) {
  const id = idFrom(call.path('id'))
  if (id === undefined) throw new SignalboxError('not_found', 'there is no such job')
  return call.access.job(call.req, undefined, id)
}
