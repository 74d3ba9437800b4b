/** Who sends a request: a person by an access token or a session, a runner or a job by its own token. Tokens go nowhere from here. */
import type { IncomingMessage } from 'node:http'
import type { Actor } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import {
  authenticateJob,
  authenticateSession,
  authenticateUser,
  type JobActor,
} from '../core/operations/authenticate.js'
import { authenticateRunner } from '../core/operations/contact-runner.js'
import { greetPoller, type Poller } from '../core/operations/greet-poller.js'
import type { ManagerInfo, Runner } from '../core/runner.js'
import type { JobTokenScope } from '../core/tokens/job-token.js'
import { bearerToken, tokenPrefixes } from '../core/tokens/token.js'
import { AtOnce } from './at-once.js'
import { type Params, wrongParameter } from './params.js'
import { type Rate, RateLimit } from './rate-limit.js'
import { refuseOtherSites, sessionTokenOf } from './session-cookie.js'
import { SignInLimits } from './sign-in-limits.js'

/** How often something may be asked for; `off`: as often as anybody likes. */
export interface Rates {
  /** Polls of one runner. */
  polls: Rate | 'off'
  /** Wrong credentials from one address. */
  wrongCredentials: Rate | 'off'
  /** Registrations from one address. */
  registrations: Rate | 'off'
}

/** Lints of one user under way: each may take seconds of a thread. */
const lintsAtOnce = 4

export const defaultRates: Rates = {
  polls: { perSecond: 10, burst: 50 },
  wrongCredentials: { perSecond: 1, burst: 60 },
  registrations: { perSecond: 5 / 60, burst: 50 },
}

const longestToken = 2048

/**
 * A script that wants to act as somebody else would do it all as the administrator here: better nothing is done.
 * https://docs.gitlab.com/api/rest/authentication/#sudo
 */
function refuseSudo(req: IncomingMessage, params: Params): void {
  if (req.headers.sudo === undefined && !params.has('sudo')) return
  throw new SignalboxError(
    'forbidden',
    'nobody acts as somebody else here: leave out sudo, and use a token of that user',
  )
}

/** A token, and where it came from. */
export interface PresentedToken {
  token: string | undefined
  /** Empty where it is not known. */
  address: string
}

/** The runner's token of a request: the parameter `token`, else `RUNNER-TOKEN`. */
export function runnerToken(req: IncomingMessage, given: string | undefined): PresentedToken {
  return { token: given || headerOf(req, 'runner-token'), address: addressOf(req) }
}

/** Finds out who sends a request, and counts what may not be asked for too often. */
export class Access {
  readonly #core: Core
  readonly #polls: RateLimit<number> | undefined
  readonly #wrong: RateLimit<string> | undefined
  readonly #registrations: RateLimit<string> | undefined
  readonly #signIns: SignInLimits
  readonly #lints = new AtOnce<number>(lintsAtOnce)

  constructor(core: Core, rates: Rates) {
    this.#core = core
    this.#signIns = new SignInLimits(core.clock)
    this.#polls = rates.polls === 'off' ? undefined : new RateLimit(core.clock, rates.polls)
    this.#wrong = rates.wrongCredentials === 'off' ? undefined : new RateLimit(core.clock, rates.wrongCredentials)
    this.#registrations = rates.registrations === 'off' ? undefined : new RateLimit(core.clock, rates.registrations)
  }

  /**
   * The person of the request's access token, or without any token of its session; undefined if it has neither. Throws
   * `unauthenticated`, `rate_limited`; `forbidden` for what another site makes somebody's browser do, and for acting as somebody
   * else.
   */
  async actor(req: IncomingMessage, params: Params): Promise<Actor | undefined> {
    const token = accessTokenOf(req, params)
    refuseSudo(req, params)
    if (token === undefined) return this.#bySession(req, params)
    try {
      return await authenticateUser(this.#core, token)
    } catch (error) {
      this.#count(addressOf(req), error)
      throw error
    }
  }

  /** A session that has ended is none: a page that everybody may see is shown all the same. */
  async #bySession(req: IncomingMessage, params: Params): Promise<Actor | undefined> {
    const externalUrl = this.#core.externalUrl()
    const token = sessionTokenOf(req, externalUrl)
    if (token === undefined || token.length > longestToken || jobTokenOf(req, params) !== undefined) return undefined
    const actor = await authenticateSession(this.#core, token)
    const changes = req.method !== 'GET' && req.method !== 'HEAD'
    if (actor && changes) refuseOtherSites(req, externalUrl, { unsaid: false })
    return actor
  }

  /** Runs a sign-in that rejects for a wrong password, as long as not too many were. Throws `rate_limited`. */
  signIn<T>(req: IncomingMessage, account: string, signIn: () => Promise<T>): Promise<T> {
    return this.#signIns.count({ account, address: addressOf(req) }, signIn)
  }

  /**
   * The runner of the request's token: the parameter `token`, else `RUNNER-TOKEN`. Throws `invalid` if there is none,
   * `forbidden` if it is not known.
   */
  runner(req: IncomingMessage, given: string | undefined): Promise<Runner> {
    return this.runnerBy(runnerToken(req, given))
  }

  /** The same by a token that did not come in these places. */
  runnerBy(presented: PresentedToken): Promise<Runner> {
    return this.#byRunnerToken(presented, (token) => authenticateRunner(this.#core, token))
  }

  /** The same for a poll, with the manager that polls; its contact is noted. Throws `rate_limited` too. */
  async poller(presented: PresentedToken, info: ManagerInfo): Promise<Poller> {
    const poller = await this.#byRunnerToken(presented, (token) => greetPoller(this.#core, token, info))
    this.#polls?.take(poller.runner.id)
    return poller
  }

  /**
   * The job of the request's token: the parameter `token`, else `JOB-TOKEN`. Throws `forbidden` if it is missing, or not
   * known, or another job's than `jobId`; `fenced` with `details.jobStatus` when its lease is over.
   */
  async job(
    req: IncomingMessage,
    given: string | undefined,
    jobId?: number,
    scope: JobTokenScope = 'job',
  ): Promise<JobActor> {
    const token = given || headerOf(req, 'job-token')
    if (!token || token.length > longestToken) throw new SignalboxError('forbidden', '403 Forbidden')
    try {
      return await authenticateJob(this.#core, token, scope, jobId)
    } catch (error) {
      throw this.#count(addressOf(req), error)
    }
  }

  /** The job of a request that people may make too; undefined if it has no job's token. Throws as `job` does, and `unauthenticated`. */
  async jobOf(req: IncomingMessage, params: Params): Promise<JobActor | undefined> {
    const token = jobTokenOf(req, params)
    if (token === undefined) return undefined
    try {
      return await authenticateJob(this.#core, token, 'job')
    } catch (error) {
      this.#count(addressOf(req), error)
      throw error
    }
  }

  /** Lints for somebody, who may do so four times at once. Throws `rate_limited`. */
  lintFor<T>(actor: Actor | undefined, lint: () => Promise<T>): Promise<T> {
    return this.#lints.run(actor?.user.id ?? 0, lint)
  }

  /** Counts a signature that does not fit. Throws `rate_limited`. */
  countWrong(req: IncomingMessage): void {
    this.#wrong?.take(addressOf(req))
  }

  /** Counts a registration. Throws `rate_limited`. */
  countRegistration(req: IncomingMessage): void {
    this.#registrations?.take(addressOf(req))
  }

  /** Runs a registration whose token may be wrong: that is `forbidden`, and counted. */
  async checkRegistration<T>(req: IncomingMessage, register: () => Promise<T>): Promise<T> {
    try {
      return await register()
    } catch (error) {
      throw this.#count(addressOf(req), error)
    }
  }

  async #byRunnerToken<T>({ token, address }: PresentedToken, authenticate: (token: string) => Promise<T>): Promise<T> {
    if (!token) throw wrongParameter('token', 'is missing')
    if (token.length > longestToken) throw wrongParameter('token')
    try {
      return await authenticate(token)
    } catch (error) {
      throw this.#count(address, error)
    }
  }

  /**
   * Counts wrong credentials, and only these, so that nobody who has the right ones is ever refused for them. Returns the
   * refusal of a runner's or job's: GitLab's runner endpoints know no 401. Throws `rate_limited`.
   */
  #count(address: string, error: unknown): unknown {
    if (!(error instanceof SignalboxError)) return error
    const astray = error.details.cell !== undefined
    if (astray || error.code === 'unauthenticated') this.#wrong?.take(address)
    if (error.code !== 'unauthenticated') return error
    return new SignalboxError('forbidden', '403 Forbidden')
  }
}

/** `JOB-TOKEN`, `job_token` and a job's token as bearer, of requests that a person's token may make too. */
export function jobTokenOf(req: IncomingMessage, params: Params): string | undefined {
  const bearer = bearerOf(req)
  const token = bearer?.startsWith(tokenPrefixes.job) ? bearer : undefined
  return headerOf(req, 'job-token') || params.text('job_token') || token
}

/** GitLab's clients send access tokens in these places. */
function accessTokenOf(req: IncomingMessage, params: Params): string | undefined {
  const bearer = bearerOf(req)
  const token = bearer?.startsWith(tokenPrefixes.job) ? undefined : bearer
  return (
    headerOf(req, 'private-token') || token || params.text('private_token') || params.text('access_token') || undefined
  )
}

function bearerOf(req: IncomingMessage): string | undefined {
  return bearerToken(headerOf(req, 'authorization'))
}

/** A header that is given once, without blanks at its ends. */
export function headerOf(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name]
  return typeof value === 'string' ? value.trim() : undefined
}

/** Where the request comes from. Headers that claim another address are not believed. */
export function addressOf(req: IncomingMessage): string {
  return req.socket.remoteAddress ?? ''
}
