import type http from 'node:http'
import type { FakeCoordinator } from './fake-coordinator.js'
import type { FakeJob } from './fake-job.js'
import { parseUpload } from './parse-upload.js'

/** `/api/v4` as far as a runner uses it. */
export async function serveRest(
  box: FakeCoordinator,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', box.http)
  const method = request.method ?? 'GET'
  const body = await readAll(request)
  box.requests.push({ method, path: url.pathname + url.search, headers: request.headers, body })
  box.changed()
  const fault = box.takeFault(`${method} ${url.pathname}`)
  if (fault !== undefined) {
    response.writeHead(fault.status, fault.headers ?? {}).end()
    return
  }
  const path = url.pathname.replace('/api/v4/', '')
  const job = box.job(Number(/^jobs\/(\d+)/.exec(path)?.[1]))
  if (path === 'runners/verify') verify(box, body, response)
  else if (path === 'jobs/request') await requestJob(box, request, body, response)
  else if (job === undefined) response.writeHead(404).end()
  else if (method === 'GET' && path.endsWith('/artifacts')) download(box, job, request, url, response)
  else if (request.headers['job-token'] !== job.token) response.writeHead(403).end()
  else if (method === 'PUT') update(job, body, response)
  else if (method === 'PATCH') trace(box, job, request, body, response)
  else upload(box, job, request, url, body, response)
}

function verify(box: FakeCoordinator, body: Buffer, response: http.ServerResponse): void {
  const { token } = JSON.parse(body.toString()) as { token: string }
  if (box.tokens.has(token)) json(response, 200, { id: 1, token, token_expires_at: null })
  else json(response, 403, { message: '403 Forbidden' })
}

async function requestJob(
  box: FakeCoordinator,
  request: http.IncomingMessage,
  body: Buffer,
  response: http.ServerResponse,
): Promise<void> {
  const asked = JSON.parse(body.toString()) as { token: string; last_update?: string }
  if (!box.tokens.has(asked.token)) {
    json(response, 403, { message: '403 Forbidden' })
    return
  }
  const next = () => box.jobs.find((job) => job.status === 'pending')
  let gone = false
  request.socket.once('close', () => {
    gone = true
    box.changed()
  })
  if (next() === undefined && asked.last_update === box.queue) {
    const { queue } = box
    await box.until(() => gone || next() !== undefined || box.queue !== queue || !box.listening, 'a job', 60_000)
  }
  if (gone) return
  const job = next()
  if (job === undefined) {
    response.writeHead(204, { 'x-gitlab-last-update': box.queue }).end()
    return
  }
  job.status = 'offered'
  box.changed()
  response.writeHead(201, { 'content-type': 'application/json' }).end(job.payload)
}

function update(job: FakeJob, body: Buffer, response: http.ServerResponse): void {
  const given = JSON.parse(body.toString()) as {
    state: string
    exit_code?: number
    failure_reason?: string
    output: { checksum?: string; bytesize?: number }
  }
  const fenced = !['offered', 'running', 'canceling'].includes(job.status)
  if (given.state !== 'running') {
    const report = {
      state: given.state === 'success' ? 'success' : 'failed',
      exitCode: given.exit_code,
      failureReason: given.failure_reason ?? '',
      logLength: given.output.bytesize ?? 0,
      logCrc: Number.parseInt((given.output.checksum ?? '').replace('crc32:', ''), 16),
    } as const
    job.reports.push(report)
    if (!fenced && job.treat.ackState) job.finish(report)
  } else if (job.status === 'offered' && !fenced) job.status = job.cancel === undefined ? 'running' : 'canceling'
  job.changed()
  const status = fenced ? 403 : job.treat.ackState || given.state === 'running' ? 200 : 202
  response.writeHead(status, { 'job-status': job.status }).end()
}

function trace(
  box: FakeCoordinator,
  job: FakeJob,
  request: http.IncomingMessage,
  body: Buffer,
  response: http.ServerResponse,
): void {
  const headers = { 'job-status': job.status, ...box.traceInterval }
  const start = Number(/^(\d+)-\d+$/.exec(String(request.headers['content-range']))?.[1])
  if (!['offered', 'running', 'canceling'].includes(job.status)) response.writeHead(403, headers).end()
  else if (start !== job.log.length) response.writeHead(416, { ...headers, range: `0-${job.log.length}` }).end()
  else if (!job.treat.ackLog || box.losesNext(job)) response.writeHead(507, headers).end()
  else {
    job.append(start, body)
    // The answer is lost on its way.
    if (job.treat.swallowAcks) response.destroy()
    else response.writeHead(202, { ...headers, range: `0-${job.log.length}` }).end()
  }
}

function upload(
  box: FakeCoordinator,
  job: FakeJob,
  request: http.IncomingMessage,
  url: URL,
  body: Buffer,
  response: http.ServerResponse,
): void {
  const part = parseUpload(String(request.headers['content-type']), body)
  const query = (name: string) => url.searchParams.get(name) ?? ''
  job.artifacts.push({
    ...part,
    type: query('artifact_type'),
    format: query('artifact_format'),
    expireIn: query('expire_in'),
  })
  box.changed()
  response.writeHead(201).end()
}

function download(
  box: FakeCoordinator,
  job: FakeJob,
  request: http.IncomingMessage,
  url: URL,
  response: http.ServerResponse,
): void {
  const archive = job.artifacts.find((each) => each.type === 'archive')
  if (!box.jobs.some((each) => each.token === request.headers['job-token'])) response.writeHead(403).end()
  else if (archive === undefined) response.writeHead(404).end()
  else if (box.redirectTo !== '' && url.searchParams.has('direct_download')) {
    response.writeHead(302, { location: box.redirectTo }).end()
  } else response.writeHead(200, { 'content-type': 'application/zip' }).end(archive.body)
}

function json(response: http.ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function readAll(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
