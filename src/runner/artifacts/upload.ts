/** Sends artifacts to the coordinator. */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type HttpAnswer, type HttpClient, isDisconnect } from '../http.js'
import type { JobLog } from '../job/log.js'
import type { ArtifactSpec } from '../job/payload.js'
import { messageOf } from '../runner-error.js'
import { type PackFormat, pack } from './pack.js'
import { selectFiles } from './select.js'

export interface ArtifactDoor {
  http: HttpClient
  /** The coordinator's HTTP address, without `/api/v4`. */
  url: string
  jobId: number
  token: string
  signal: AbortSignal
  /** Between two tries, in milliseconds. */
  pauseMs: number
  /** Waits before the next try where no answer came; such a one does not count. False: this has gone on for too long. */
  patience: { wait(): Promise<boolean> }
}

/**
 * Selects, packs and uploads one entry of `artifacts`.
 * @returns why it failed, in words; nothing if it succeeded or there was nothing to upload.
 */
export async function uploadArtifact(
  spec: ArtifactSpec,
  root: string,
  door: ArtifactDoor,
  log: JobLog,
): Promise<string | undefined> {
  if (spec.paths.length === 0 && !spec.untracked) return undefined
  log.notice('Uploading artifacts...')
  const files = await selectFiles(root, spec, log)
  if (files.length === 0) {
    log.error('No files to upload')
    return undefined
  }
  const format = spec.format === '' ? 'zip' : spec.format
  if (!isPackFormat(format)) return `the artifact format ${format} is not supported by this runner`
  try {
    const body = await pack(format, root, files, log)
    return await upload(spec, fileName(spec.name, format), body, door, log)
  } catch (error) {
    return messageOf(error)
  }
}

/**
 * Which answer allows how many tries. Source: GitLab Runner, `commands/helpers/artifacts_uploader.go`, which also tries
 * refused files three times.
 */
async function upload(
  spec: ArtifactSpec,
  name: string,
  body: () => Readable,
  door: ArtifactDoor,
  log: JobLog,
): Promise<string | undefined> {
  const what = `Uploading artifacts as "${spec.type || 'archive'}" to coordinator...`
  let base = door.url
  for (let tries = 1; ; ) {
    let answer: HttpAnswer | undefined
    let problem = ''
    let away = false
    try {
      answer = await post(spec, name, body, { ...door, url: base })
      problem = answer.statusText
    } catch (error) {
      if (door.signal.aborted) return 'stopped'
      problem = messageOf(error)
      away = isDisconnect(error)
    }
    if (answer?.status === 201) {
      log.plain(`${what} ${answer.statusText}`)
      return undefined
    }
    log.warning(`${what} ${problem}${reasonOf(answer)}`)
    if (answer?.status === 403) return 'uploading artifacts: permission denied'
    if (answer?.status === 413) return 'uploading artifacts: too large'
    if (isRefusal(answer?.status)) return `uploading artifacts: ${problem}`
    if (away && (await door.patience.wait())) continue
    if (tries++ >= (answer?.status === 503 ? 6 : 3)) return `uploading artifacts: ${problem}`
    // Only scheme and host of the address are taken over.
    const { location } = answer?.headers ?? {}
    if (answer?.status === 307 && location !== undefined) base = new URL(location, base).origin
    await sleep(door.pauseMs, undefined, { signal: door.signal }).catch(() => undefined)
    if (door.signal.aborted) return 'stopped'
  }
}

/** Whether the same request gets the same answer: what is wrong with a file stays wrong. 408 and 429 are about the moment. */
function isRefusal(status = 0): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429
}

/** A multipart body of one part, sent in chunks: its length is not known before its end. */
function post(spec: ArtifactSpec, name: string, body: () => Readable, door: ArtifactDoor): Promise<HttpAnswer> {
  const url = new URL(`${door.url.replace(/\/+$/, '')}/api/v4/jobs/${door.jobId}/artifacts`)
  const query = { artifact_format: spec.format, artifact_type: spec.type, expire_in: spec.expireIn }
  for (const [key, value] of Object.entries(query)) if (value !== '') url.searchParams.set(key, value)
  const boundary = randomBytes(24).toString('hex')
  async function* parts(): AsyncGenerator<Buffer> {
    const filename = name
      .replaceAll('\\', '\\\\')
      .replaceAll('"', '\\"')
      .replace(/[\r\n]/g, '_')
    yield Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\n` +
        'Content-Type: application/octet-stream\r\n\r\n',
    )
    for await (const chunk of body()) yield chunk as Buffer
    yield Buffer.from(`\r\n--${boundary}--\r\n`)
  }
  return door.http.call({
    method: 'POST',
    url,
    headers: { 'job-token': door.token, 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: () => Readable.from(parts(), { objectMode: false }),
    signal: door.signal,
  })
}

/** Source: GitLab Runner, `commands/helpers/artifacts_uploader.go` (artifactFilename). */
function fileName(name: string, format: PackFormat): string {
  const given = name === '' ? 'artifacts' : path.posix.basename(name)
  const base = given === '' || given === '.' ? 'default' : given
  return base + { zip: '.zip', gzip: '.gz', raw: '' }[format]
}

function isPackFormat(format: string): format is PackFormat {
  return format === 'zip' || format === 'gzip' || format === 'raw'
}

/** What the coordinator says in its error body, if it says anything. */
function reasonOf(answer: HttpAnswer | undefined): string {
  try {
    const body: unknown = JSON.parse(answer?.body.toString('utf8') ?? '')
    const message = (body as { message?: unknown }).message
    return typeof message === 'string' ? ` (${message})` : ''
  } catch {
    return ''
  }
}
