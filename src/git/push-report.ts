/**
 * The answer to a push on its way to the client: learns which refs were changed, and keeps back its last packet so that
 * what we have to say comes before it. With `side-band-64k` each packet begins with a band: 1 is the report (packets of its
 * own: `unpack ok`, `ok <ref>`, `ng <ref> <reason>`, flush), 2 is text for the user, and a flush ends it. Without, the
 * report is all there is: https://git-scm.com/docs/pack-protocol#_report_status
 */
import { flushPacket, type Packet, PacketReader, toPacket } from './pkt-line.js'

const none = Buffer.alloc(0)

export class PushReport {
  /** Whether each ref of which the report has spoken was changed. */
  readonly results = new Map<string, boolean>()
  readonly #sideband: boolean
  readonly #outer = new PacketReader()
  readonly #report = new PacketReader()
  /** States: open → ended, by the last packet; or → raw, when git says something that we do not understand. */
  #state: 'open' | 'ended' | 'raw' = 'open'

  constructor(capabilities: ReadonlySet<string>) {
    this.#sideband = capabilities.has('side-band-64k') || capabilities.has('side-band')
  }

  /** Takes bytes of git's answer and gives those to be sent now. */
  through(chunk: Buffer): Buffer {
    if (this.#state === 'raw') return chunk
    if (this.#sideband) return this.#unwrap(chunk)
    this.#read(chunk)
    return chunk
  }

  /** What is left to be sent: these lines for the user, if the client shows any, and the last packet. */
  finish(lines: readonly string[]): Buffer {
    if (this.#state !== 'ended') return none
    const text = Buffer.from(lines.map((line) => `${line}\n`).join(''))
    const packets: Buffer[] = []
    for (let at = 0; at < text.length; at += textBytes) {
      packets.push(toPacket(Buffer.concat([textBand, text.subarray(at, at + textBytes)])))
    }
    return Buffer.concat([...packets, flushPacket])
  }

  #unwrap(chunk: Buffer): Buffer {
    this.#outer.push(chunk)
    const passed: Buffer[] = []
    try {
      for (let packet = this.#outer.next(); packet; packet = this.#outer.next()) {
        if (packet.kind !== 'data') {
          this.#state = 'ended'
          continue
        }
        if (packet.bytes[0] === 1) this.#read(packet.bytes.subarray(1))
        passed.push(toPacket(packet.bytes))
      }
    } catch {
      this.#state = 'raw'
      passed.push(this.#outer.held)
    }
    return Buffer.concat(passed)
  }

  #read(bytes: Buffer): void {
    this.#report.push(bytes)
    for (let packet = nextOf(this.#report); packet; packet = nextOf(this.#report)) {
      if (packet.kind !== 'data') continue
      const [word, ref] = packet.bytes.toString('utf8').replace(/\n$/, '').split(' ')
      if ((word === 'ok' || word === 'ng') && ref !== undefined) this.results.set(ref, word === 'ok')
    }
  }
}

/** An answer with side bands: text for the user, then the report in packets. */
export function inBands(text: string, report: Buffer): Buffer {
  const packets: Buffer[] = []
  for (const [band, bytes] of [
    [textBand, Buffer.from(`${text}\n`)],
    [reportBand, report],
  ] as const) {
    for (let at = 0; at < bytes.length; at += textBytes) {
      packets.push(toPacket(Buffer.concat([band, bytes.subarray(at, at + textBytes)])))
    }
  }
  return Buffer.concat([...packets, flushPacket])
}

/** The next packet of the report; a broken report has none, and the refs are looked at instead. */
function nextOf(report: PacketReader): Packet | undefined {
  try {
    return report.next()
  } catch {
    return undefined
  }
}

const reportBand = Buffer.from([1])
const textBand = Buffer.from([2])
/** What fits into a packet of `side-band`, the smaller of the two. */
const textBytes = 990
