/** Projects that mirror a remote repository. */
import type { Core } from '../../core/core.js'
import { SignalboxError } from '../../core/errors.js'
import { parseRemote, type RemoteSource } from '../../core/mirror.js'
import { fetchMirror, findMirror } from '../../core/operations/fetch-mirror.js'
import type { Project } from '../../core/project.js'
import type { Reply, Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { type ProjectCall, projectRoute } from '../call.js'
import { toMirror } from '../convert/project.js'
import { notFound } from '../errors.js'

export const mirrorRoutes: readonly Route[] = [
  projectRoute('get', '/projects/:id/mirror/pull', { deed: 'administer' }, async ({ core, project }) => ({
    status: 200,
    body: await entity(core, project),
  })),
  projectRoute('post', '/projects/:id/mirror/pull', { deed: 'administer' }, pull),
]

/** The newest of the remote repository, now: answers when it is here. */
async function pull({ core, project }: ProjectCall): Promise<Reply> {
  if (project.mirrored === 0) throw new SignalboxError('invalid', 'The project is not mirrored')
  await fetchMirror(core, project)
  return { status: 200, body: await entity(core, project) }
}

async function entity(core: Core, project: Project): Promise<object> {
  const mirror = await findMirror(core, core.store.read, project.id)
  if (!mirror) throw notFound()
  return toMirror(mirror)
}

/**
 * The remote repository to mirror; null: none any more; undefined: nothing is said of it. A copy that is made once
 * (`import_url` without `mirror`) there is not: such a project is pushed to.
 */
export function mirrorOf(params: Params): RemoteSource | null | undefined {
  const url = params.text('import_url') || undefined
  const wanted = params.boolean('mirror')
  if (url === undefined) {
    if (wanted === true) throw wrongParameter('import_url', 'is missing')
    return wanted === false ? null : undefined
  }
  if (wanted !== true) throw wrongParameter('mirror', 'must be true with import_url: repositories are mirrored')
  return parseRemote(url)
}
