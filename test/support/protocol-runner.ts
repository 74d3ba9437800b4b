/**
 * A runner that does what GitLab Runner does on the wire, and no more: its rules for answers that fail are those of
 * gitlab-runner network/gitlab.go (`RequestJob`, `UpdateJob`, `PatchTrace`, `UploadRawArtifacts`), network/trace.go and
 * commands/multi.go.
 */
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import { buffer } from 'node:stream/consumers'
import { crc32 } from 'node:zlib'

export interface Taken {
  id: number
  token: string
  job_info: { name: string }
  dependencies: { id: number; token: string; artifacts_file: { filename: string } }[]
  artifacts: { paths: string[] }[]
}

interface Answer {
  /** -1: none came, or not all of it. */
  status: number
  headers: http.IncomingHttpHeaders
  body: Buffer
}

export interface Identity {
  token: string
  systemId: string
  /** `info` of each request. */
  info: object
}

const tries = 10
const transferTries = 3

export class ProtocolRunner implements Disposable {
  readonly #url: string
  readonly #who: Identity
  readonly #agent = new http.Agent({ keepAlive: true })
  #lastUpdate: string | undefined

  constructor(url: string, who: Identity) {
    this.#url = url
    this.#who = who
  }

  /** Asks for a job and acknowledges it, before anything else is asked for. Undefined: there is none, or it was lost or taken back. */
  async request(): Promise<Taken | undefined> {
    const { token, systemId, info } = this.#who
    const last = this.#lastUpdate === undefined ? {} : { last_update: this.#lastUpdate }
    const answer = await this.#json('POST', '/jobs/request', { token, system_id: systemId, info, ...last })
    const value = answer.headers['x-gitlab-last-update']
    if (typeof value === 'string') this.#lastUpdate = value
    if (answer.status !== 201) return undefined
    const job = JSON.parse(answer.body.toString()) as Taken
    return (await this.acknowledge(job)) ? job : undefined
  }

  /** Gives whether the runner goes on with the job: only a clear refusal stops it. */
  async acknowledge(job: Taken): Promise<boolean> {
    return !isAbort(await this.#update(job, { state: 'running', output: {} }))
  }

  /** Appends to the log, from where the server says that it is. Gives whether the job goes on. */
  async log(job: Taken, text: string): Promise<boolean> {
    const data = Buffer.from(text)
    let sent = 0
    for (let i = 0; i < tries; i++) {
      const answer = await this.#send('PATCH', `/jobs/${job.id}/trace?debug_trace=false`, data.subarray(sent), {
        'JOB-TOKEN': job.token,
        'Content-Type': 'text/plain',
        'Content-Range': `${sent}-${data.length - 1}`,
      })
      if (isAbort(answer)) return false
      if (answer.status === 202) return true
      if (answer.status !== 416) continue
      sent = Number(/-(\d+)$/.exec(String(answer.headers.range))?.[1])
      if (sent >= data.length) return true
    }
    throw new Error(`the log of job ${job.id} could not be sent`)
  }

  async upload(job: Taken, zip: Buffer): Promise<void> {
    const border = randomBytes(12).toString('hex')
    const head = `--${border}\r\nContent-Disposition: form-data; name="file"; filename="artifacts.zip"\r\nContent-Type: application/octet-stream\r\n\r\n`
    const body = Buffer.concat([Buffer.from(head), zip, Buffer.from(`\r\n--${border}--\r\n`)])
    for (let i = 0; i < transferTries; i++) {
      const { status } = await this.#send(
        'POST',
        `/jobs/${job.id}/artifacts?artifact_format=zip&artifact_type=archive`,
        body,
        { 'JOB-TOKEN': job.token, 'Content-Type': `multipart/form-data; boundary=${border}` },
      )
      if (status === 201) return
    }
    throw new Error(`the artifacts of job ${job.id} could not be uploaded`)
  }

  async download(of: { id: number; token: string }): Promise<Buffer> {
    for (let i = 0; i < transferTries; i++) {
      const { status, body } = await this.#send('GET', `/jobs/${of.id}/artifacts`, undefined, { 'JOB-TOKEN': of.token })
      if (status === 200) return body
    }
    throw new Error(`the artifacts of job ${of.id} could not be downloaded`)
  }

  /** Says how the job ended until it is known to have been heard. Gives false if the job was taken away meanwhile. */
  async finish(job: Taken, log: string): Promise<boolean> {
    const bytes = Buffer.from(log)
    const checksum = `crc32:${crc32(bytes).toString(16).padStart(8, '0')}`
    for (let i = 0; i < tries; i++) {
      const answer = await this.#update(job, {
        state: 'success',
        checksum,
        output: { checksum, bytesize: bytes.length },
      })
      if (isAbort(answer)) return false
      if (answer.status === 200) return true
    }
    throw new Error(`the end of job ${job.id} could not be told`)
  }

  #update(job: Taken, update: object): Promise<Answer> {
    return this.#json('PUT', `/jobs/${job.id}`, { token: job.token, info: this.#who.info, ...update })
  }

  #json(method: string, path: string, body: object): Promise<Answer> {
    return this.#send(method, path, Buffer.from(JSON.stringify(body)), { 'Content-Type': 'application/json' })
  }

  #send(method: string, path: string, body: Buffer | undefined, headers: Record<string, string>): Promise<Answer> {
    const lost: Answer = { status: -1, headers: {}, body: Buffer.alloc(0) }
    return new Promise((resolve) => {
      const length = body ? { 'Content-Length': body.length } : {}
      const options = { method, agent: this.#agent, headers: { ...headers, ...length } }
      const req = http.request(`${this.#url}/api/v4${path}`, options, (res) => {
        buffer(res).then(
          (whole) => resolve({ status: res.statusCode ?? -1, headers: res.headers, body: whole }),
          () => resolve(lost),
        )
      })
      req.on('error', () => resolve(lost))
      req.end(body)
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

/** The runner stops working on the job, without another word. */
function isAbort({ status, headers }: Answer): boolean {
  return status === 403 || status === 404 || ['canceled', 'failed'].includes(String(headers['job-status']))
}
