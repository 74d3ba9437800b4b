/** `GET /runners/router/discovery`: where a runner finds the Job Router. The runner keeps what it hears for an hour. */
import type { Route } from '../../http/call.js'
import { refined } from '../../http/errors.js'
import { tokenRoute } from '../call.js'

export const routerPath = '/runner/v1/router'

/** The tunnel's URL below an external one: `http://…` gives `ws://…/runner/v1/router`. */
export function tunnelUrl(externalUrl: string): string {
  return externalUrl.replace(/^http/, 'ws') + routerPath
}

/** `url`: undefined if this server has no router; then a runner goes on polling. */
export function discoveryRoute(url: () => string | undefined): Route {
  return tokenRoute('get', '/runners/router/discovery', async ({ access, req, params }) => {
    await access.runner(req, params.text('token'))
    const serverUrl = url()
    if (serverUrl === undefined) throw refined('unavailable', 'not_implemented', 'the job router is not available')
    return { status: 200, body: { server_url: serverUrl } }
  })
}
