/** Groups, as far as runners and projects need them: for administrators. */
import { findGroup, findGroupByPath } from '../../core/store/projects.js'
import { idFrom, type Reply, type Route, type UserCall } from '../../http/call.js'
import { userRoute } from '../call.js'
import { toGroup } from '../convert/project.js'
import { notFound } from '../errors.js'

export const groupRoutes: readonly Route[] = [userRoute('get', '/groups/:id', { admin: true }, show)]

/** By id or by path. */
async function show({ core, path }: UserCall): Promise<Reply> {
  const given = path('id')
  const id = idFrom(given)
  const { read } = core.store
  const group = id === undefined ? await findGroupByPath(read, given.replaceAll('\0', '')) : await findGroup(read, id)
  if (group?.kind !== 'group') throw notFound('Group')
  return { status: 200, body: toGroup(group, core.externalUrl()) }
}
