/** Groups, as far as runners and projects need them: for administrators. */
import type { Route } from '../../http/call.js'
import { groupOf, userRoute } from '../call.js'
import { toGroup } from '../convert/project.js'

export const groupRoutes: readonly Route[] = [
  userRoute('get', '/groups/:id', { admin: true }, async (call) => ({
    status: 200,
    body: toGroup(await groupOf(call), call.core.externalUrl()),
  })),
]
