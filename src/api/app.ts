/** Our own API, `/api/signalbox/v1`: what GitLab's lacks. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { OpenIdSettings } from '../core/openid.js'
import type { Tasks } from '../core/scheduler/tasks.js'
import { Access, defaultRates } from '../http/access.js'
import { answerError } from '../http/errors.js'
import { makeRequestId, sentRequestId } from '../http/request-id.js'
import { routesOn } from '../http/routing.js'
import { auditRoutes } from './audit.js'
import { backupRoutes } from './backup.js'
import { cacheRoutes } from './caches.js'
import { connectionRoutes } from './connections.js'
import { deliveryRoutes } from './deliveries.js'
import { toProblem } from './errors.js'
import { feedRoutes } from './feed.js'
import { fleetRoutes } from './fleet.js'
import { graphRoutes } from './graph.js'
import { insightRoutes } from './insight.js'
import { liveRoutes } from './live.js'
import { logRoutes } from './logs.js'
import { nodeRoutes } from './nodes.js'
import { answerCallback, providerAt } from './openid/callback.js'
import { openIdRoutes, providersOf } from './openid/routes.js'
import { overviewRoutes } from './overview.js'
import { answerPasswordPage } from './password-page.js'
import { pipelineEventRoutes } from './pipeline-events.js'
import { noPlugins, type PluginHostFace, pluginRoutes } from './plugins.js'
import { projectRoutes } from './projects.js'
import { queueRoutes } from './queue.js'
import { apiRoutes } from './routes.js'
import { runnerSelfRoutes } from './runner-self.js'
import { sessionRoutes } from './session.js'
import { settingsRoutes } from './settings.js'
import { usageRoutes } from './usage.js'

export interface Api {
  /** Answers a request below `/api/signalbox/v1`. Never throws. */
  handle(req: IncomingMessage, res: ServerResponse): void
  /** Answers a request for the page of links that set passwords. Never rejects. */
  passwordPage(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Answers who comes back from an OpenID provider. Returns whether the path is such an address. Never rejects. */
  openIdCallback(req: IncomingMessage, res: ServerResponse, pathname: string): Promise<boolean>
}

/** Headers of which two say two things; Node keeps the first and tells nobody. */
const single = new Set(['authorization', 'private-token', 'job-token', 'runner-token'])

export interface ApiParts {
  /** Returns a backup as it is made; absent: there is none to be had. */
  backup?: () => Promise<Readable>
  /** The plugins of this node; absent: nobody can ask about them. */
  plugins?: PluginHostFace
  /** Who vouches for people; absent: nobody does. */
  openid?: readonly OpenIdSettings[]
}

/** The API on a core and its background tasks. Nothing is listened on: the caller's server hands requests over. */
export function createApi(core: Core, tasks: Tasks, parts: ApiParts = {}): Api {
  const refuse = (req: IncomingMessage, res: ServerResponse, requestId: string, thrown: unknown) =>
    answerError(core, req, res, requestId, thrown, (error) => toProblem(error, requestId))
  const access = new Access(core, defaultRates)
  const providers = providersOf(parts.openid ?? [])
  const handle = routesOn({
    core,
    access,
    base: '/api/signalbox/v1',
    routes: [
      ...apiRoutes(tasks),
      ...settingsRoutes,
      ...sessionRoutes(providers),
      ...openIdRoutes(providers),
      ...auditRoutes,
      ...liveRoutes,
      ...logRoutes,
      ...pipelineEventRoutes(),
      ...feedRoutes,
      ...graphRoutes,
      ...insightRoutes,
      ...overviewRoutes,
      ...fleetRoutes,
      ...queueRoutes,
      ...nodeRoutes,
      ...usageRoutes,
      ...cacheRoutes,
      ...deliveryRoutes,
      ...projectRoutes,
      ...connectionRoutes,
      ...runnerSelfRoutes,
      ...pluginRoutes(parts.plugins ?? noPlugins),
      ...(parts.backup ? backupRoutes(parts.backup) : []),
    ],
    answerError: refuse,
  })
  return {
    handle(req, res) {
      const requestId = sentRequestId(req) ?? makeRequestId()
      if (hasDoubled(req)) refuse(req, res, requestId, new SignalboxError('invalid', 'a header is given twice'))
      else handle(req, res, requestId)
    },
    async openIdCallback(req, res, pathname) {
      const provider = providerAt(providers, pathname)
      if (provider) await answerCallback({ core, access }, provider, req, res)
      return provider !== undefined
    },
    passwordPage: (req, res) => answerPasswordPage(core, access, req, res),
  }
}

function hasDoubled({ rawHeaders }: IncomingMessage): boolean {
  const seen = new Set<string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    if (!single.has(name)) continue
    if (seen.has(name)) return true
    seen.add(name)
  }
  return false
}
