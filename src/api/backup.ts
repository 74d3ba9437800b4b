/** `GET /backup`: everything that the coordinator keeps, as a zip file. For administrators. */
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { SignalboxError } from '../core/errors.js'
import type { Route } from '../http/call.js'
import { signedInRoute } from './route.js'

/** The route; `make` gives the file as it is made. It is written down who has asked. */
export function backupRoutes(make: () => Promise<Readable>): readonly Route[] {
  return [
    signedInRoute(
      'get',
      '/backup',
      async ({ core, actor, req, res, requestId }) => {
        if (actor.user.isAdmin === 0) {
          throw new SignalboxError('forbidden', 'this needs an administrator’s token with the scope api')
        }
        core.log.warn({ user: actor.user.id }, 'a backup is taken')
        if (req.method === 'HEAD') return { status: 200 }
        const file = await make()
        res.writeHead(200, { 'Content-Type': 'application/zip', 'X-Request-Id': requestId })
        await pipeline(file, res).catch((error) => {
          core.log.error({ err: error }, 'a backup was cut off')
          res.destroy()
        })
        return undefined
      },
      'api',
    ),
  ]
}
