/**
 * A job's log as it is, at `/GROUP/NAME/-/jobs/ID/raw`: for browsers and scripts alike. Who may read it is as in the API; who
 * has no session signs in with a token as the password.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Actor, can, mayReadLog } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { findJob } from '../core/store/jobs.js'
import { findProjectByPath } from '../core/store/projects.js'
import type { Access } from '../http/access.js'
import { idFrom } from '../http/call.js'
import { answerError } from '../http/errors.js'
import { Params } from '../http/params.js'
import { makeRequestId } from '../http/request-id.js'
import { toErrorAnswer } from './errors.js'
import { sendTrace } from './trace-view.js'

const within = /^\/(.+?\/.+?)\/-\/jobs\/([^/]+)\/raw\/?$/

/** Answers a request for such a log. Returns whether it has; never rejects. */
export async function answerRawLog(
  core: Core,
  access: Access,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<boolean> {
  const requestId = makeRequestId()
  try {
    if (req.method !== 'GET' && req.method !== 'HEAD') return false
    const [, projectPath, given] = within.exec(decoded((req.url ?? '').split('?', 1)[0]!) ?? '') ?? []
    if (projectPath === undefined) return false
    const project = await findProjectByPath(core.store.read, projectPath)
    const actor = await actorOf(access, req)
    if (!project || !(await can(core, actor, 'read', project))) {
      if (actor) return false
      askWho(res)
      return true
    }
    const id = idFrom(given ?? '')
    const job = id === undefined ? undefined : await findJob(core.store.read, id)
    if (job?.projectId !== project.id || !(await mayReadLog(core, actor, project, job.id))) return false
    await sendTrace({ core, req, res, requestId }, job)
    return true
  } catch (error) {
    answerError(core, req, res, requestId, error, toErrorAnswer)
    return true
  }
}

function decoded(path: string): string | undefined {
  try {
    const text = decodeURIComponent(path)
    // PostgreSQL takes no NUL, not even to look for it.
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

/** By the headers of the API, or by the password of Basic credentials. Throws `unauthenticated`, `rate_limited`, `forbidden`. */
async function actorOf(access: Access, req: IncomingMessage): Promise<Actor | undefined> {
  const encoded = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(req.headers.authorization ?? '')?.[1]
  const login = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8')
  const password = login.slice(login.indexOf(':') + 1)
  let actor: Actor | undefined
  try {
    actor = await access.actor(req, new Params(password === '' ? {} : { private_token: password }))
  } catch (error) {
    // The browser asks again.
    if (error instanceof SignalboxError && error.code === 'unauthenticated') return undefined
    throw error
  }
  if (actor && !actor.scopes.has('api') && !actor.scopes.has('read_api')) {
    throw new SignalboxError('forbidden', 'the token may not read')
  }
  return actor
}

function askWho(res: ServerResponse): void {
  const body = 'give any user name, and an access token as the password\n'
  res.writeHead(401, {
    'Cache-Control': 'no-store',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Referrer-Policy': 'no-referrer',
    'WWW-Authenticate': 'Basic realm="Signalbox"',
    'X-Content-Type-Options': 'nosniff',
  })
  res.end(body)
}
