/** What this server is, and who asks. */
import { gitlabVersion, version } from '../../core/version.js'
import type { Route } from '../../http/call.js'
import { userRoute } from '../call.js'
import { toCurrentUser } from '../convert/user.js'

const what = { version: gitlabVersion, revision: `signalbox-${version}` }

export const metaRoutes: readonly Route[] = [
  userRoute('get', '/version', {}, async () => ({ status: 200, body: what })),
  userRoute('get', '/metadata', {}, async () => ({
    status: 200,
    body: {
      ...what,
      kas: { enabled: false, externalUrl: null, externalK8sProxyUrl: null, version: null },
      enterprise: false,
    },
  })),
  userRoute('get', '/user', { scopes: ['read_user'] }, async ({ core, actor }) => ({
    status: 200,
    body: toCurrentUser(actor.user, core.externalUrl()),
  })),
]
