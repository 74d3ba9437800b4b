/** Finds its way through the bytes of a log as they come: lines, sections, and certain lines. Pure. */

/** The beginning or end of a section, which its line says: https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections */
export interface LogMark {
  line: number
  kind: 'start' | 'end'
  name: string
  /** In milliseconds since 1970. */
  at: number
  /** It asks to be closed at first. */
  collapsed: boolean
}

/** What a scan has found. */
export interface Scanned {
  lines: number
  offsets: number[]
  marks: LogMark[]
  failureLines: number[]
}

/** A line this long and without end is not looked into. */
const longestLine = 64 * 1024
const linesApart = 1000
/** So many marks are kept, so that a log of nothing else does not fill the memory. */
const mostMarks = 5000

const marker = /section_(start|end):(\d{1,12}):([A-Za-z0-9_.-]{1,64})(\[[^\]]{0,200}\])?\r/y

/** A scan from the beginning. `wanted`: texts of lines that are to be found, each once. */
export class LogScan {
  #line = 0
  #at = 0
  #rest: Buffer = Buffer.alloc(0)
  readonly #offsets = [0]
  readonly #marks: LogMark[] = []
  readonly #wanted: Map<string, Buffer>
  readonly #found: number[] = []

  constructor(wanted: readonly string[]) {
    this.#wanted = new Map(wanted.filter((text) => text.trim() !== '').map((text) => [text, Buffer.from(text)]))
  }

  add(piece: Buffer): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece])
    const end = bytes.lastIndexOf(10) + 1
    this.#look(bytes.subarray(0, end))
    const rest = bytes.subarray(end)
    const kept = rest.length > longestLine ? 0 : rest.length
    this.#at += rest.length - kept
    this.#rest = kept === 0 ? Buffer.alloc(0) : Buffer.from(rest)
  }

  /** `whole`: what comes after the last line end is a line as well. */
  end(whole: boolean): Scanned {
    const open = whole && (this.#rest.length > 0 || this.#at > (this.#lastLineEnd ?? 0))
    if (open) this.#look(this.#rest)
    return {
      lines: this.#line + (open ? 1 : 0),
      offsets: this.#offsets,
      marks: this.#marks,
      failureLines: this.#found.sort((a, b) => a - b),
    }
  }

  #lastLineEnd: number | undefined

  /** Whole lines. */
  #look(bytes: Buffer): void {
    const places = [...this.#places(bytes)].sort((a, b) => a.at - b.at)
    let next = 0
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== 10) continue
      while (next < places.length && places[next]!.at <= i) places[next++]!.note(this.#line)
      this.#line++
      if (this.#line % linesApart === 0) this.#offsets.push(this.#at + i + 1)
      this.#lastLineEnd = this.#at + i + 1
    }
    while (next < places.length) places[next++]!.note(this.#line)
    this.#at += bytes.length
  }

  /** What there is to note, by its place in these bytes. */
  *#places(bytes: Buffer): Generator<{ at: number; note: (line: number) => void }> {
    for (let at = bytes.indexOf('section_'); at >= 0; at = bytes.indexOf('section_', at + 8)) {
      marker.lastIndex = 0
      const [all, kind, seconds, name, options] = marker.exec(bytes.toString('latin1', at, at + 320)) ?? []
      if (all === undefined || this.#marks.length >= mostMarks) continue
      const collapsed = options?.includes('collapsed=true') ?? false
      const mark = { kind: kind as LogMark['kind'], name: name!, at: Number(seconds) * 1000, collapsed }
      yield { at, note: (line) => this.#marks.push({ line, ...mark }) }
    }
    for (const [text, wanted] of this.#wanted) {
      const at = bytes.indexOf(wanted)
      if (at < 0) continue
      this.#wanted.delete(text)
      yield { at, note: (line) => this.#found.push(line) }
    }
  }
}

/** How many lines end in this part of the text. */
export function countLines(text: string, from: number, to: number): number {
  let count = 0
  for (let at = text.indexOf('\n', from); at >= 0 && at < to; at = text.indexOf('\n', at + 1)) count++
  return count
}
