/** A route of our own API for whoever has an access token or has signed in. Tokens are taken from headers only: addresses end up in logs. */
import { actingFor } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Method, Reply, Route, UserCall } from '../http/call.js'
import { Params } from '../http/params.js'

/** `scope`: what the token must be good for; reading is also allowed with `read_api`. */
export function signedInRoute(
  method: Method,
  path: string,
  handle: (call: UserCall) => Promise<Reply | undefined>,
  scope: 'api' | 'read_api' = method === 'get' ? 'read_api' : 'api',
): Route {
  return {
    method,
    path,
    streams: false,
    async handle(call) {
      for (const name of ['private_token', 'access_token', 'job_token', 'token']) {
        if (call.params.has(name)) throw new SignalboxError('invalid', 'tokens are taken from headers only')
      }
      const actor = await call.access.actor(call.req, noParams)
      if (!actor) throw new SignalboxError('unauthenticated', 'an access token is needed')
      if (!actor.scopes.has('api') && !actor.scopes.has(scope)) {
        throw new SignalboxError('forbidden', `this needs a token with the scope ${scope}`)
      }
      return handle({ ...call, core: actingFor(call.core, actor.user), actor })
    },
  }
}

/** A route for administrators with the scope `api`. */
export function adminRoute(method: Method, path: string, handle: (call: UserCall) => Promise<Reply>): Route {
  const administer = (call: UserCall) => {
    if (call.actor.user.isAdmin === 0) {
      throw new SignalboxError('forbidden', 'this needs an administrator’s token with the scope api')
    }
    return handle(call)
  }
  return signedInRoute(method, path, administer, 'api')
}

const noParams = new Params({})
