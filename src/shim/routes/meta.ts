/** What this server is, and who asks. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { brotliDecompress } from 'node:zlib'
import { gitlabVersion, version } from '../../core/version.js'
import type { Call, Route } from '../../http/call.js'
import { packageRoot } from '../../package-root.js'
import { tokenRoute, userRoute } from '../call.js'
import { toCurrentUser } from '../convert/user.js'

const what = { version: gitlabVersion, revision: `signalbox-${version}` }

export const metaRoutes: readonly Route[] = [
  tokenRoute('get', '/openapi.json', sendDocument),
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

/** What can be asked here, as an OpenAPI document, for anybody. */
async function sendDocument({ res, requestId }: Call): Promise<undefined> {
  // The build makes it of docs/openapi.json.
  const text = await promisify(brotliDecompress)(await readFile(path.join(packageRoot(), 'dist/openapi.json.br')))
  const about = { 'Content-Type': 'application/json', 'Content-Length': text.length, 'X-Request-Id': requestId }
  res.writeHead(200, { ...about, 'X-Content-Type-Options': 'nosniff' }).end(text)
}
