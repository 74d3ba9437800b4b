/**
 * What `web_url`s lead to, until there is a page of its own: projects, pipelines, jobs and their logs as plain HTML and text,
 * without script or style. Who may read what is as in the API; a browser signs in with a token as the password.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Actor, can, mayReadLog } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import type { Job } from '../core/job.js'
import type { Pipeline } from '../core/pipeline.js'
import type { Project } from '../core/project.js'
import { listJobs } from '../core/store/job-lists.js'
import { findJob } from '../core/store/jobs.js'
import { listPipelines } from '../core/store/pipeline-lists.js'
import { findPipeline, listStages } from '../core/store/pipelines.js'
import { findProjectByPath } from '../core/store/projects.js'
import type { Access } from '../http/access.js'
import { idFrom } from '../http/call.js'
import { answerError } from '../http/errors.js'
import { Params } from '../http/params.js'
import { makeRequestId } from '../http/request-id.js'
import { toErrorAnswer } from './errors.js'
import { sendTrace } from './trace-view.js'

interface Seen {
  core: Core
  project: Project
  actor: Actor | undefined
}

const within = /^\/(.+?)\/-\/(pipelines|jobs)(?:\/([^/]+))?(\/raw)?\/?$/

/** Answers a request for one of these pages. Returns whether it has; never rejects. */
export async function answerPage(
  core: Core,
  access: Access,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<boolean> {
  const requestId = makeRequestId()
  try {
    if (req.method !== 'GET' && req.method !== 'HEAD') return false
    const path = decoded((req.url ?? '').split('?', 1)[0]!)
    const [whole, projectPath = path?.slice(1), kind, given, raw] = within.exec(path ?? '') ?? []
    if (!projectPath?.includes('/')) return false
    const project = await findProjectByPath(core.store.read, projectPath.replace(/\/$/, ''))
    // An address that names no page is left to others: only where one may be is asked who wants it.
    if (whole === undefined && !project) return false
    const actor = await actorOf(access, req)
    if (!project || !(await can(core, actor, 'read', project))) {
      if (actor || whole === undefined) return false
      signIn(res)
      return true
    }
    return await answer({ core, project, actor }, { req, res, requestId, kind, given, raw: raw !== undefined })
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

async function answer(
  seen: Seen,
  call: {
    req: IncomingMessage
    res: ServerResponse
    requestId: string
    kind: string | undefined
    given: string | undefined
    raw: boolean
  },
): Promise<boolean> {
  const { core, project, actor } = seen
  const { req, res, requestId, kind, given, raw } = call
  const { read } = core.store
  if (kind === undefined || (kind === 'pipelines' && given === undefined)) {
    send(req, res, await projectPage(seen))
    return true
  }
  const id = idFrom(given ?? '')
  if (id === undefined) return false
  if (kind === 'pipelines') {
    const pipeline = await findPipeline(read, id)
    if (raw || pipeline?.projectId !== project.id) return false
    send(req, res, await pipelinePage(seen, pipeline))
    return true
  }
  const job = await findJob(read, id)
  if (job?.projectId !== project.id) return false
  const readable = await mayReadLog(core, actor, project, job.id)
  if (!raw) send(req, res, jobPage(seen, job, readable))
  else if (readable) await sendTrace({ core, req, res, requestId }, job)
  else return false
  return true
}

const shown = 20

async function projectPage({ core, project }: Seen): Promise<string> {
  const wanted = { projectId: project.id, child: false } as const
  const rows = await listPipelines(core.store.read, wanted, { limit: shown, offset: 0 })
  const lines = rows.map((one) => [
    link(`/${project.fullPath}/-/pipelines/${one.id}`, `#${one.id}`),
    escaped(one.status),
    escaped(one.ref),
    escaped(one.sha.slice(0, 8)),
    escaped(one.source),
  ])
  return page(project.fullPath, table(['Pipeline', 'Status', 'Ref', 'Commit', 'Source'], lines))
}

const mostJobs = 2000

async function pipelinePage({ core, project }: Seen, pipeline: Pipeline): Promise<string> {
  const jobs = await listJobs(core.store.read, { pipelineId: pipeline.id }, { limit: mostJobs, offset: 0 }, 'asc')
  const stages = new Map((await listStages(core.store.read, pipeline.id)).map(({ id, name }) => [id, name]))
  const lines = jobs.map((job) => [
    link(`/${project.fullPath}/-/jobs/${job.id}`, job.name),
    escaped(stages.get(job.stageId) ?? ''),
    escaped(job.status),
    job.startedAt === null ? '' : link(`/${project.fullPath}/-/jobs/${job.id}/raw`, 'log'),
  ])
  const error = pipeline.yamlErrors === null ? '' : `<pre>${escaped(pipeline.yamlErrors)}</pre>`
  const about = `${pipeline.status}: ${pipeline.source} of ${pipeline.ref} at ${pipeline.sha.slice(0, 8)}`
  return page(
    `Pipeline #${pipeline.id}`,
    `<p>${link(`/${project.fullPath}`, project.fullPath)}</p><p>${escaped(about)}</p>${error}${table(['Job', 'Stage', 'Status', ''], lines)}`,
  )
}

function jobPage({ project }: Seen, job: Job, readable: boolean): string {
  const why = job.failureReason === null ? '' : ` (${job.failureReason})`
  return page(
    `Job #${job.id}: ${job.name}`,
    `<p>${link(`/${project.fullPath}/-/pipelines/${job.pipelineId}`, `Pipeline #${job.pipelineId}`)}</p>` +
      `<p>${escaped(`${job.status}${why}`)}</p>` +
      (readable && job.startedAt !== null ? `<p>${link(`/${project.fullPath}/-/jobs/${job.id}/raw`, 'Log')}</p>` : ''),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (tag: string, cells: readonly string[]) =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`
  return `<table>${row('th', head)}${rows.map((cells) => row('td', cells)).join('')}</table>`
}

function link(path: string, text: string): string {
  return `<a href="${escaped(encodeURI(path))}">${escaped(text)}</a>`
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title></head><body><h1>${escaped(title)}</h1>${body}</body></html>\n`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** As text or as the value of an attribute. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (found) => entities[found]!)
}

function signIn(res: ServerResponse): void {
  const text = page('Sign in', '<p>Give any user name, and an access token as the password.</p>')
  res.writeHead(401, { ...headers, 'WWW-Authenticate': 'Basic realm="Signalbox"' }).end(text)
}

const headers = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Content-Type': 'text/html; charset=utf-8',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

function send(req: IncomingMessage, res: ServerResponse, text: string): void {
  res.writeHead(200, { ...headers, 'Content-Length': Buffer.byteLength(text) })
  res.end(req.method === 'HEAD' ? undefined : text)
}
