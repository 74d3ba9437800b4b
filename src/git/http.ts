/**
 * Smart HTTP for the hosted repositories (https://git-scm.com/docs/gitprotocol-http), through the system's
 * `git http-backend`. A fetch is `GET info/refs?service=git-upload-pack`, then `POST git-upload-pack` as often as the two
 * sides need to agree; a push the same with `git-receive-pack`. Each request is checked here before git sees a byte of it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../core/clock.js'
import type { Core } from '../core/core.js'
import type { Log } from '../core/log.js'
import { authorize } from './access.js'
import { defaultGitHttpLimits, type GitHttpLimits } from './limits.js'
import { busy, Refusal } from './refusal.js'
import type { GitRepositories } from './repositories.js'
import { type GitRoute, gitRoute, requestType } from './route.js'
import { GitService } from './service.js'
import { Watchdog } from './watchdog.js'

export interface GitHttpOptions {
  core: Core
  /** The same ones that the core has. */
  repositories: GitRepositories
  log: Log
  limits?: Partial<GitHttpLimits>
}

export interface GitHttp {
  /**
   * Answers a request for `/<group>/<project>.git/…`. Returns false, at once and with nothing done, for any other; else
   * resolves with true when it has been answered. Never rejects.
   */
  handle(req: IncomingMessage, res: ServerResponse): boolean | Promise<boolean>
  /** Goes on with what a stop of the node, or a fault, has left of pushes. Returns how many there were. */
  followLeft(): Promise<number>
  /** Ends every request and its processes, and waits for pipelines that are being made. Safe to repeat. */
  close(): Promise<void>
}

/** The door of git clients. The server mounts it behind every other path. */
export function createGitHttp({ core, repositories, log, limits: given }: GitHttpOptions): GitHttp {
  const limits = { ...defaultGitHttpLimits, ...given }
  const service = new GitService({ core, repositories, log, limits })
  /** Requests under way, and what ends each. */
  const open = new Map<Promise<unknown>, () => void>()
  let closed = false

  async function serve(req: IncomingMessage, res: ServerResponse, route: GitRoute | Refusal): Promise<true> {
    const gone = new AbortController()
    const giveUp = () => {
      gone.abort(new Error('the client is gone, or too slow'))
      req.destroy()
    }
    const watchdog = new Watchdog(core.clock, limits, giveUp)
    res.once('close', () => gone.abort(new Error('the client is gone')))
    const served = answer(req, res, route, gone.signal, () => watchdog.touch())
      .catch((error: unknown) => refuse(res, error, gone.signal))
      .then(() => {
        watchdog.stop()
        discard(req, core.clock)
      })
    open.set(served, () => {
      gone.abort(busy())
      // A body that is still coming would be waited for.
      if (!req.complete) req.destroy()
    })
    await served
    open.delete(served)
    return true
  }

  async function answer(
    req: IncomingMessage,
    res: ServerResponse,
    route: GitRoute | Refusal,
    signal: AbortSignal,
    touch: () => void,
  ): Promise<void> {
    if (route instanceof Refusal) throw route
    if (closed) throw busy()
    checkHeaders(req, route)
    const right = route.service === 'git-receive-pack' ? 'write' : 'read'
    const access = await authorize(core, {
      authorization: req.headers.authorization,
      path: route.path,
      right,
      create: route.kind === 'refs' && right === 'write',
    })
    // A crash may have come between a project and its repository.
    await repositories.create(access.project)
    const exchange = { req, res, route, access, signal, touch }
    if (route.kind === 'refs') await service.advertise(exchange)
    else if (right === 'read') await service.fetch(exchange)
    else await service.push(exchange)
  }

  function refuse(res: ServerResponse, error: unknown, signal: AbortSignal): void {
    const refusal = Refusal.from(error)
    if (!refusal && !signal.aborted) log.error({ err: error }, 'a git request has failed')
    if (res.headersSent || res.destroyed) {
      // Half an answer must not look like a whole one.
      res.destroy()
      return
    }
    const { status, message, headers } = refusal ?? new Refusal(500, 'internal error')
    for (const name of res.getHeaderNames()) res.removeHeader(name)
    res.writeHead(status, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'no-cache',
      'X-Content-Type-Options': 'nosniff',
      ...headers,
    })
    res.end(`${message}\n`)
  }

  return {
    handle(req, res) {
      const route = gitRoute(req.url ?? '', basePath(core.externalUrl()))
      return route === undefined ? false : serve(req, res, route)
    },
    followLeft: () => service.followLeft(),
    async close() {
      closed = true
      for (const end of open.values()) end()
      await Promise.allSettled(open.keys())
      await service.close()
    },
  }
}

/** The path that people's addresses begin with, without a slash at its end. */
function basePath(externalUrl: string): string {
  return /^https?:\/\/[^/?#]+(\/[^?#]*?)\/*$/.exec(externalUrl)?.[1] ?? ''
}

/** Throws a refusal for what no git client sends. */
function checkHeaders({ method, headers }: IncomingMessage, { kind, service }: GitRoute): void {
  const wanted = kind === 'refs' ? 'GET' : 'POST'
  if (method !== wanted) throw new Refusal(405, `Only ${wanted} is possible here.`, { Allow: wanted })
  const protocol = headers['git-protocol']
  if (protocol !== undefined && !/^version=[012]$/.test(String(protocol))) {
    throw new Refusal(400, 'The header Git-Protocol is not understood.')
  }
  if (kind === 'rpc' && headers['content-type'] !== requestType(service)) {
    throw new Refusal(415, `The content type is not ${requestType(service)}.`)
  }
}

/** The most that is read, and waited for, of a body that nobody wants, so that the client gets to read why. */
const discardLimitBytes = 64 * 1024 * 1024
const discardMs = 10_000

function discard(req: IncomingMessage, clock: Clock): void {
  if (req.complete || req.destroyed) {
    req.resume()
    return
  }
  let bytes = 0
  const stop = clock.after(discardMs, () => req.destroy())
  req.once('close', stop)
  req.once('end', stop)
  req.on('error', () => undefined)
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > discardLimitBytes) req.destroy()
  })
  req.resume()
}
