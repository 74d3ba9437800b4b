import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import http from 'node:http'
import { toPacket } from '../../../src/git/pkt-line.js'
import { adminToken, type GitBox } from './git-box.js'

export interface RawRequest {
  method?: string
  /** Sent as it is. */
  path: string
  token?: string | null
  headers?: Record<string, string>
  body?: Buffer | string
}

export interface RawAnswer {
  status: number
  headers: http.IncomingHttpHeaders
  body: Buffer
}

export function basic(password: string, user = 'any'): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

/** Opens a request and gives it with its response, of which nothing has been read. */
export function open(box: GitBox, { method, path, token = adminToken, headers, body }: RawRequest) {
  const request = http.request({
    port: box.port,
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    path,
    agent: false,
    headers: { ...(token === null ? {} : { Authorization: basic(token) }), ...headers },
  })
  request.end(body)
  const response = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.once('error', reject)
  })
  return { request, response }
}

export async function send(box: GitBox, request: RawRequest): Promise<RawAnswer> {
  const response = await open(box, request).response
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }
}

export function requestTo(service: 'git-upload-pack' | 'git-receive-pack', body: Buffer | string): RawRequest {
  return { path: `/acme/app.git/${service}`, headers: { 'Content-Type': `application/x-${service}-request` }, body }
}

/** Asks, in version 0, for everything behind a commit. */
export function want(sha: string): RawRequest {
  const body = [toPacket(`want ${sha} side-band-64k ofs-delta\n`), '0000', toPacket('done\n')]
  return requestTo('git-upload-pack', Buffer.concat(body.map((one) => Buffer.from(one))))
}

const emptyPack = Buffer.concat([
  Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1'),
  Buffer.from('029d08823bd8a8eab510ad6ac75c823cfd3ed31e', 'hex'),
])

/** A push of commands `<old> <new> <ref>` whose objects the server has. */
export function push(commands: readonly string[], capabilities = 'report-status side-band-64k'): RawRequest {
  const lines = commands.map((one, i) => toPacket(i === 0 ? `${one}\0 ${capabilities}` : one))
  return requestTo('git-receive-pack', Buffer.concat([...lines, Buffer.from('0000'), emptyPack]))
}

/** Incompressible text: an answer that holds it is larger than every buffer on its way. */
export function bulk(bytes: number): string {
  return randomBytes(bytes / 2).toString('hex')
}

/** Resolves when no process of the door is left: a killed one takes a moment to be gone. */
export async function noGitGroups(box: GitBox): Promise<void> {
  while (gitGroups(box).size > 0) await new Promise(setImmediate)
}

/** Process groups that work in one of the box's repositories, or under its door; readers of objects are not among them. */
export function gitGroups(box: GitBox): Set<number> {
  const groups = new Set<number>()
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const inside = readlinkSync(`/proc/${pid}/cwd`).startsWith(box.repositories.folder)
      if (
        !inside &&
        !readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`GIT_PROJECT_ROOT=${box.repositories.folder}`)
      ) {
        continue
      }
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      groups.add(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]))
    } catch {
      // Another user's, or gone.
    }
  }
  return groups
}
