/**
 * Git's framing (https://git-scm.com/docs/protocol-common): four hex digits of length, themselves counted, then bytes;
 * `0000` is a flush, `0001` a delimiter, `0002` the end of a response.
 */
import { Refusal } from './refusal.js'

export type Packet = { kind: 'data'; bytes: Buffer } | { kind: 'flush' | 'delimiter' | 'end' }

const headerBytes = 4
const longestPacketBytes = 65_520

/** Takes packets out of a stream of bytes. */
export class PacketReader {
  #held: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): void {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
  }

  /** The next whole packet; undefined when more bytes are needed. Throws a refusal (400) for bytes that are no packet. */
  next(): Packet | undefined {
    const length = packetLength(this.#held, 0)
    if (length === undefined || this.#held.length < Math.max(length, headerBytes)) return undefined
    const bytes = this.#held.subarray(headerBytes, length)
    this.#held = this.#held.subarray(Math.max(length, headerBytes))
    return length >= headerBytes ? { kind: 'data', bytes } : { kind: special[length]! }
  }

  /** Bytes that were pushed and belong to no packet yet. */
  get held(): Buffer {
    return this.#held
  }
}

/** Throws a refusal (400) unless a body is packets from its first byte to its last. */
export function checkPackets(body: Buffer): void {
  for (let at = 0; at < body.length; ) {
    const length = packetLength(body, at)
    at += Math.max(length ?? Number.POSITIVE_INFINITY, headerBytes)
    if (at > body.length) throw malformed()
  }
}

export function toPacket(content: Buffer | string): Buffer {
  const bytes = Buffer.from(content)
  const length = (bytes.length + headerBytes).toString(16).padStart(headerBytes, '0')
  return Buffer.concat([Buffer.from(length, 'latin1'), bytes])
}

export const flushPacket = Buffer.from('0000', 'latin1')

export function malformed(): Refusal {
  return new Refusal(400, 'The request is not in the git protocol.')
}

const special = ['flush', 'delimiter', 'end'] as const

/** Undefined: the length itself is not all there. */
function packetLength(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < headerBytes) return undefined
  const digits = bytes.toString('latin1', at, at + headerBytes)
  const length = /^[0-9a-f]{4}$/i.test(digits) ? Number.parseInt(digits, 16) : Number.NaN
  // 4 is an empty packet, which nobody should send and git accepts; 3 is nothing.
  if (!(length < special.length || (length >= headerBytes && length <= longestPacketBytes))) throw malformed()
  return length
}
