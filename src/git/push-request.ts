/**
 * The beginning of a push (https://git-scm.com/docs/pack-protocol#_reference_update_request_and_packfile_transfer):
 * commands `<old> <new> <ref>`, the first with the client's capabilities behind a NUL; a flush; if it said
 * `push-options`, those and another flush; then the pack.
 */
import type { PushedRef } from '../core/store/pushes.js'
import { malformed, PacketReader } from './pkt-line.js'
import { isObjectId, isRefName } from './ref-name.js'
import { Refusal } from './refusal.js'

export interface PushHead {
  commands: PushedRef[]
  capabilities: ReadonlySet<string>
  options: string[]
  /** All that was read so far, the beginning of the pack included. */
  chunks: Buffer[]
}

const largestHeadBytes = 16 * 1024 * 1024
const optionLimit = 100

/**
 * Reads up to the pack. Throws a refusal: 400 for what is no push, or for a ref with a name that cannot be; 413 for too
 * many commands.
 */
export async function readPushHead(body: AsyncIterator<Buffer>): Promise<PushHead> {
  const head = {
    commands: [] as PushedRef[],
    capabilities: new Set<string>(),
    options: [] as string[],
    chunks: [] as Buffer[],
  }
  const packets = new PacketReader()
  let bytes = 0
  let part: 'commands' | 'options' = 'commands'
  for (;;) {
    for (let packet = packets.next(); packet; packet = packets.next()) {
      if (packet.kind === 'data') {
        if (part === 'commands') takeCommand(head, packet.bytes)
        else takeOption(head, packet.bytes)
        continue
      }
      if (packet.kind !== 'flush') throw malformed()
      if (part === 'options' || !head.capabilities.has('push-options')) return head
      part = 'options'
    }
    const { value, done } = await body.next()
    if (done) throw malformed()
    head.chunks.push(value)
    packets.push(value)
    bytes += value.length
    if (bytes - packets.held.length > largestHeadBytes)
      throw new Refusal(413, 'The push changes too many refs at once.')
  }
}

function takeCommand(head: PushHead & { capabilities: Set<string> }, bytes: Buffer): void {
  const text = decode(bytes)
  const nul = text.indexOf('\0')
  const line = nul < 0 ? text.replace(/\n$/, '') : text.slice(0, nul)
  if (nul >= 0)
    for (const name of text
      .slice(nul + 1)
      .trim()
      .split(/\s+/))
      head.capabilities.add(name)
  // A shallow clone says where its history ends; git checks that.
  if (/^shallow [0-9a-f]+$/.test(line)) return
  const [before = '', after = ''] = line.split(' ', 2)
  const ref = line.slice(before.length + after.length + 2)
  if (!isObjectId(before) || !isObjectId(after)) throw malformed()
  if (!isRefName(ref)) throw new Refusal(400, `The ref name ${JSON.stringify(ref.slice(0, 256))} is not allowed.`)
  head.commands.push({ ref, before, after })
}

function takeOption(head: PushHead, bytes: Buffer): void {
  if (head.options.length >= optionLimit) throw new Refusal(413, `More than ${optionLimit} push options.`)
  head.options.push(decode(bytes).replace(/\n$/, ''))
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new Refusal(400, 'Names must be UTF-8.')
  }
}
