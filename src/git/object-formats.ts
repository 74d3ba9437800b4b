/** What is inside commits, tags and trees: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects */
import type { CommitInfo } from '../core/project.js'

export interface ParsedCommit {
  info: CommitInfo
  tree: string
  parents: readonly string[]
  committer: { name: string; email: string }
  /** ISO 8601; `info.timestamp` is the committer's. */
  authoredAt: string
}

/**
 * Reads a commit. The time is the committer's, in its own zone, as GitLab's `CI_COMMIT_TIMESTAMP` is. What is not there
 * or cannot be read is empty: git keeps histories from before its own checks.
 */
export function parseCommit(sha: string, bytes: Buffer): ParsedCommit {
  const end = bytes.indexOf('\n\n')
  const head = end < 0 ? bytes : bytes.subarray(0, end)
  const fields = headerFields(head.toString('latin1'))
  const decode = decoderOf(fields.get('encoding'))
  const line = (name: string) => decode(Buffer.from(fields.get(name) ?? '', 'latin1'))
  const author = personOf(line('author'))
  const { at, ...committer } = personOf(line('committer'))
  return {
    tree: fields.get('tree') ?? '',
    parents: [...head.toString('latin1').matchAll(/^parent ([0-9a-f]+)$/gm)].map((match) => match[1]!),
    committer,
    authoredAt: author.at,
    info: {
      sha,
      author: `${author.name} <${author.email}>`,
      authorName: author.name,
      authorEmail: author.email,
      timestamp: at,
      message: end < 0 ? '' : decode(bytes.subarray(end + 2)),
    },
  }
}

/** The object that a tag points to. */
export function parseTag(bytes: Buffer): string | undefined {
  return /^object ([0-9a-f]+)\n/.exec(bytes.toString('latin1', 0, 128))?.[1]
}

/** What whoever made an annotated tag wrote, without a signature that follows. */
export function parseTagMessage(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  const message = text.slice(text.indexOf('\n\n') + 2)
  return message.split(/^-----BEGIN (?:PGP|SSH) SIGNATURE-----$/m)[0]!.trimEnd()
}

const idBytes = 20

/** The entry of a name in a tree: its mode (`100644`, `120000`, `40000`…) and object id. */
export function findTreeEntry(tree: Buffer, name: string): { mode: string; id: string } | undefined {
  const wanted = Buffer.from(name)
  for (let at = 0; at < tree.length; ) {
    const space = tree.indexOf(0x20, at)
    const end = tree.indexOf(0, space)
    if (space < 0 || end < 0) return undefined
    if (wanted.equals(tree.subarray(space + 1, end))) {
      return { mode: tree.toString('latin1', at, space), id: tree.toString('hex', end + 1, end + 1 + idBytes) }
    }
    at = end + 1 + idBytes
  }
  return undefined
}

/** First value of each field. A line that begins with a space goes on with the one above. */
function headerFields(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\n')) {
    const space = line.indexOf(' ')
    const name = line.slice(0, space)
    if (space > 0 && !fields.has(name)) fields.set(name, line.slice(space + 1))
  }
  return fields
}

/** `Name <mail> 1700000000 +0100` */
function personOf(text: string): { name: string; email: string; at: string } {
  const parts = /^(.*?) ?<(.*)>(?: (-?\d+) ([+-]\d{4}))?/s.exec(text)
  if (!parts) return { name: text, email: '', at: timestamp(0, '+0000') }
  const [, name = '', email = '', seconds = '0', zone = '+0000'] = parts
  return { name, email, at: timestamp(Number(seconds), zone) }
}

/** The latest time that four digits of a year can show. */
const latestSeconds = 253_402_300_799

function timestamp(seconds: number, zone: string): string {
  const sign = zone.startsWith('-') ? -1 : 1
  const offsetMinutes = sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3)))
  const local = Math.min(Math.max(0, seconds + offsetMinutes * 60), latestSeconds)
  return `${new Date(local * 1000).toISOString().slice(0, 19)}${zone.slice(0, 3)}:${zone.slice(3)}`
}

function decoderOf(encoding: string | undefined): (bytes: Uint8Array) => string {
  try {
    const decoder = new TextDecoder(encoding ?? 'utf-8', { ignoreBOM: true })
    return (bytes) => decoder.decode(bytes)
  } catch {
    // An encoding that nobody knows: the bytes as UTF-8 are the best guess.
    return (bytes) => Buffer.from(bytes).toString('utf8')
  }
}
