/**
 * Cells: coordinators that share one address behind a router. With a cell's id set, whatever such a coordinator hands out
 * names it, so that a router can tell from the headers of a request alone where it belongs: job tokens by a claim, queue
 * values by how they begin, other tokens by the payload of GitLab's routable tokens, `PREFIX BASE64URL.01.LENGTH CRC`
 * (https://handbook.gitlab.com/handbook/engineering/architecture/design-documents/cells/routable_tokens/).
 */
import { crc32 } from 'node:zlib'

const version = '01'

/** What follows a token's prefix: random bytes first, since runners name themselves by the first nine characters. */
export function routableBody(prefix: string, random: Buffer, cell: number): string {
  const payload = Buffer.concat([random, Buffer.from(`c:${cell.toString(36)}\n`), Buffer.from([random.length])])
  const text = payload.toString('base64url')
  const body = `${text}.${version}.${text.length.toString(36).padStart(2, '0')}`
  return body + checksum(prefix + body)
}

/** What queue values of the cell begin with. */
export function queueValuePrefix(cell: number | null): string {
  return cell === null ? '' : `c${cell.toString(36)}-`
}

/** The cell that a token or a queue value names; undefined: none. Nothing is verified: it says where to ask. */
export function cellOf(text: string): number | undefined {
  const queued = /^c([0-9a-z]{1,8})-/.exec(text)?.[1]
  if (queued !== undefined) return Number.parseInt(queued, 36)
  return cellOfJobToken(text) ?? cellOfRoutable(text)
}

function cellOfJobToken(text: string): number | undefined {
  const body = /^glcbt-[\w-]+\.([\w-]+)\.[\w-]+$/.exec(text)?.[1]
  if (body === undefined) return undefined
  try {
    const { cell } = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
    return Number.isSafeInteger(cell) ? cell : undefined
  } catch {
    return undefined
  }
}

function cellOfRoutable(text: string): number | undefined {
  const [, encoded, length, sum] = /([\w-]+)\.01\.([0-9a-z]{2})([0-9a-z]{7})$/.exec(text) ?? []
  if (encoded === undefined || length === undefined || sum === undefined) return undefined
  if (checksum(text.slice(0, -sum.length)) !== sum) return undefined
  const bytes = Buffer.from(encoded.slice(-Number.parseInt(length, 36)), 'base64url')
  const routing = bytes.subarray(bytes.at(-1), -1).toString('latin1')
  const cell = /^c:([0-9a-z]{1,8})$/m.exec(routing)?.[1]
  return cell === undefined ? undefined : Number.parseInt(cell, 36)
}

function checksum(text: string): string {
  return crc32(text).toString(36).padStart(7, '0')
}
