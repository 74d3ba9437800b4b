/** Groups that are let into projects and groups. https://docs.gitlab.com/api/projects/#share-a-project-with-a-group */
import type { Actor } from '../../core/authorize.js'
import { SignalboxError } from '../../core/errors.js'
import type { Place } from '../../core/member.js'
import { removeGroupShare, saveGroupShare } from '../../core/operations/edit-share.js'
import type { Call, Reply, Route } from '../../http/call.js'
import { wrongParameter } from '../../http/params.js'
import { groupFor, idOf, projectRoute, userRoute } from '../call.js'
import { fromDate } from '../convert/access-token.js'
import { notFound } from '../errors.js'

export const shareRoutes: readonly Route[] = [
  projectRoute('post', '/projects/:id/share', { deed: 'administer' }, (call) =>
    share({ ...call, actor: call.actor! }, { projectId: call.project.id }),
  ),
  projectRoute('delete', '/projects/:id/share/:group_id', { deed: 'administer' }, (call) =>
    unshare({ ...call, actor: call.actor! }, { projectId: call.project.id }),
  ),
  userRoute('post', '/groups/:id/share', {}, async (call) =>
    share(call, { groupId: (await groupFor(call, 'own')).id }),
  ),
  userRoute('delete', '/groups/:id/share/:group_id', {}, async (call) =>
    unshare(call, { groupId: (await groupFor(call, 'own')).id }),
  ),
]

async function share({ core, params, actor: by }: Call & { actor: Actor }, place: Place): Promise<Reply> {
  const sharedWithId = params.integer('group_id', { min: 1 })
  if (sharedWithId === undefined) throw wrongParameter('group_id', 'is missing')
  const accessLevel = params.integer('group_access')
  if (accessLevel === undefined) throw wrongParameter('group_access', 'is missing')
  const expiresAt = fromDate(params, 'expires_at')
  await told('Group', () => saveGroupShare(core, { place, sharedWithId, accessLevel, expiresAt, by }))
  return {
    status: 201,
    body: {
      group_id: sharedWithId,
      group_access: accessLevel,
      expires_at: params.text('expires_at') || null,
      ...('projectId' in place ? { project_id: place.projectId } : {}),
    },
  }
}

async function unshare(call: Call & { actor: Actor }, place: Place): Promise<Reply> {
  const sharedWithId = idOf(call, 'group_id', 'Group')
  await told('Group Link', () => removeGroupShare(call.core, { place, sharedWithId, by: call.actor }))
  return { status: 204 }
}

async function told(what: string, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (error instanceof SignalboxError && error.code === 'not_found') throw notFound(what)
    throw error
  }
}
