/**
 * GitLab's `/api/v4`, for runners and scripts that know nothing of us. It converts in, calls one operation, converts out:
 * no rule is its own, and no state but who polls. The two requests that runners make all the time are answered on the raw
 * request; everything else goes through Express, which costs four times as much.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Core } from '../core/core.js'
import { Access, defaultRates, type Rates } from '../http/access.js'
import { expectContinue } from '../http/body.js'
import type { Route } from '../http/call.js'
import { answerError, refined } from '../http/errors.js'
import { makeRequestId, sentRequestId } from '../http/request-id.js'
import { routesOn } from '../http/routing.js'
import { answerAppend } from './append.js'
import { toErrorAnswer } from './errors.js'
import { answerPoll } from './http-poll.js'
import { discoveryRoute } from './job-router/discovery.js'
import { isOpenIdPath } from './open-id-paths.js'
import { Polls } from './poll.js'
import { answerRawLog } from './raw-log.js'
import { accessTokenRoutes } from './routes/access-tokens.js'
import { artifactRoutes } from './routes/artifacts.js'
import { environmentRoutes } from './routes/environments.js'
import { groupRoutes } from './routes/groups.js'
import { jobArtifactRoutes } from './routes/job-artifacts.js'
import { jobTokenScopeRoutes } from './routes/job-token-scope.js'
import { jobRoutes } from './routes/jobs.js'
import { lintRoutes } from './routes/lint.js'
import { memberRoutes } from './routes/members.js'
import { mergeRequestRoutes } from './routes/merge-requests.js'
import { mergeTrainRoutes } from './routes/merge-trains.js'
import { metaRoutes } from './routes/meta.js'
import { mirrorRoutes } from './routes/mirrors.js'
import { openIdRoutes } from './routes/open-id.js'
import { pipelineRoutes } from './routes/pipelines.js'
import { projectRoutes } from './routes/projects.js'
import { protectedEnvironmentRoutes } from './routes/protected-environments.js'
import { protectionRoutes } from './routes/protections.js'
import { registrationRoutes } from './routes/registration.js'
import { releaseLinkRoutes } from './routes/release-links.js'
import { releaseRoutes } from './routes/releases.js'
import { repositoryRoutes } from './routes/repository.js'
import { resourceGroupRoutes } from './routes/resource-groups.js'
import { runnerRoutes } from './routes/runners.js'
import { runningJobRoutes } from './routes/running-jobs.js'
import { scheduleRoutes } from './routes/schedules.js'
import { shareRoutes } from './routes/shares.js'
import { statusRoutes } from './routes/statuses.js'
import { testReportRoutes } from './routes/test-reports.js'
import { triggerRoutes } from './routes/triggers.js'
import { userRoutes } from './routes/users.js'
import { variableRoutes } from './routes/variables.js'
import { webhookRoutes } from './routes/webhooks.js'

export type { Rates }

export interface ShimOptions {
  /** How long a poll is held that has seen the present queue value, in milliseconds; default 50,000; 0: not at all. */
  holdMs?: number
  /** How often things may be asked for; default `defaultRates`. */
  rates?: Partial<Rates>
  /** The names under which this server is reached; a request to another one is refused. Default: any. */
  secureHosts?: readonly string[]
  /** Where GitLab's Job Router is found; absent: nowhere, and runners poll. */
  routerUrl?: () => string
}

export interface Shim {
  /** Answers a request below `/api/v4`, or for what OpenID Connect publishes. Never throws. */
  handle(req: IncomingMessage, res: ServerResponse): void
  /** The same for a request whose sender waits for `100 Continue`: the listener of the server's `checkContinue`. */
  handleExpecting(req: IncomingMessage, res: ServerResponse): void
  /** Answers a request for a job's log as it is. Returns whether it has; never rejects. */
  rawLog(req: IncomingMessage, res: ServerResponse): Promise<boolean>
  /** Polls that are held now. */
  readonly held: number
  /** What the Job Router hands out jobs from. */
  readonly polls: Polls
  /** Answers held polls with 204 and refuses new ones; resolves when all are answered. Safe to repeat. */
  close(): Promise<void>
}

const base = '/api/v4'
const tracePath = /^\/api\/v4\/jobs\/([^/?]+)\/trace(?:\?|$)/
const pollPath = `${base}/jobs/request`

const routes: readonly Route[] = [
  ...metaRoutes,
  ...registrationRoutes,
  ...runningJobRoutes,
  ...artifactRoutes,
  ...runnerRoutes,
  ...groupRoutes,
  ...memberRoutes,
  ...shareRoutes,
  ...protectionRoutes,
  ...projectRoutes,
  ...mirrorRoutes,
  ...mergeRequestRoutes,
  ...mergeTrainRoutes,
  ...pipelineRoutes,
  ...jobRoutes,
  ...jobArtifactRoutes,
  ...jobTokenScopeRoutes,
  ...webhookRoutes,
  ...lintRoutes,
  ...environmentRoutes,
  ...protectedEnvironmentRoutes,
  ...releaseRoutes,
  ...releaseLinkRoutes,
  ...repositoryRoutes,
  ...resourceGroupRoutes,
  ...scheduleRoutes,
  ...statusRoutes,
  ...testReportRoutes,
  ...triggerRoutes,
  ...variableRoutes,
  ...accessTokenRoutes,
  ...userRoutes,
]

/** The API on a core. Nothing is listened on: the caller's server hands requests over. */
export function createShim(core: Core, options: ShimOptions = {}): Shim {
  const access = new Access(core, { ...defaultRates, ...options.rates })
  const polls = new Polls(core, access, options.holdMs ?? 50_000)
  const on = (base: string, routes: readonly Route[]) =>
    routesOn({
      core,
      access,
      base,
      routes,
      answerError: (req, res, requestId, thrown) => answerError(core, req, res, requestId, thrown, toErrorAnswer),
    })
  const rest = on(base, [...routes, discoveryRoute(() => options.routerUrl?.())])
  const openId = on('', openIdRoutes)
  const hosts = options.secureHosts && new Set(options.secureHosts.map((host) => host.toLowerCase()))

  const handle = (req: IncomingMessage, res: ServerResponse): void => {
    const sentId = sentRequestId(req)
    const requestId = sentId ?? makeRequestId()
    const answer = (work: Promise<unknown>) => {
      work.catch((error) => answerError(core, req, res, requestId, error, toErrorAnswer))
    }
    const { url = '', method } = req
    if (hosts && !hosts.has(hostOf(req))) {
      answer(Promise.reject(refined('invalid', 'misdirected', 'this server does not go by that name')))
    } else if (method === 'POST' && isPoll(url)) {
      answer(answerPoll(polls, req, res, requestId, sentId ?? null))
    } else if (method === 'PATCH' && tracePath.test(url)) {
      answer(answerAppend(core, access, req, res, requestId, tracePath.exec(url)![1]!))
    } else if (isOpenIdPath(url)) {
      openId(req, res, requestId)
    } else {
      rest(req, res, requestId)
    }
  }
  return {
    handle,
    polls,
    handleExpecting(req, res) {
      expectContinue(res)
      handle(req, res)
    },
    rawLog: (req, res) => answerRawLog(core, access, req, res),
    get held() {
      return polls.held.size
    },
    close: () => polls.close(),
  }
}

function isPoll(url: string): boolean {
  return url.startsWith(pollPath) && (url.length === pollPath.length || url[pollPath.length] === '?')
}

function hostOf(req: IncomingMessage): string {
  return (req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase()
}
