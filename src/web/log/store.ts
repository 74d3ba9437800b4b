/**
 * A log of any length, of which the page holds what it shows: an index says where each thousandth line begins, and blocks of
 * a thousand lines are fetched as they come into view. What a running job adds comes by a stream, and is counted here.
 */
import { apart } from '../apart.js'
import { ask, own, send } from '../api.js'
import { pause } from '../live.js'
import type { Mark } from './sections.js'
import { type Line, parseLine, plain } from './text.js'

interface Index {
  bytes: number
  lines: number
  offsets: number[]
  marks: Mark[]
  failure_lines: number[]
  ended: boolean
}

export const blockLines = 1000
/** So many blocks are held: twelve thousand lines, however long the log is. */
const heldBlocks = 12

/** The log of one job. `changed` is called when there is more to show. */
export class LogStore {
  /** Whole lines; counted from 0. */
  lines = 0
  marks: Mark[] = []
  failureLines: number[] = []
  /** The job has ended, and all of its log is known. */
  ended = false
  refusal = ''
  loaded = false
  #bytes = 0
  #offsets: number[] = [0]
  /** What has come of a line that is not whole yet. */
  #rest = new Uint8Array()
  readonly #blocks = new Map<number, Line[]>()
  readonly #asked = new Set<number>()
  /** Counts up when the log was looked at anew: what was asked for before may be cut off. */
  #generation = 0
  readonly #stop = new AbortController()
  readonly #path: string
  readonly #changed: () => void

  constructor(jobId: number, changed: () => void) {
    this.#path = `${own}/jobs/${jobId}/log`
    this.#changed = changed
    apart(this.#run())
  }

  close(): void {
    this.#stop.abort()
  }

  /** The line, if it is here; it is fetched if it is not. */
  line(at: number): Line | undefined {
    if (at >= this.lines) return undefined
    const block = Math.floor(at / blockLines)
    const held = this.#blocks.get(block)
    if (!held) {
      apart(this.#fetch(block))
      return undefined
    }
    // The one that was looked at last goes last.
    this.#blocks.delete(block)
    this.#blocks.set(block, held)
    return held[at % blockLines]
  }

  async #run(): Promise<void> {
    for (let waitMs = 300; !this.#stop.signal.aborted; waitMs = Math.min(5000, waitMs * 2)) {
      try {
        await this.#loadIndex()
        this.loaded = true
        this.#changed()
        if (this.ended) return
        await this.#followTail()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        const { status = 0, message } = error as { status?: number; message: string }
        if (status >= 400 && status < 500) {
          this.refusal = message
          this.#changed()
          return
        }
      }
      await pause(waitMs, this.#stop.signal)
    }
  }

  async #loadIndex(): Promise<void> {
    const index = await ask<Index>(`${this.#path}/index`, { signal: this.#stop.signal })
    this.#bytes = index.bytes
    this.#offsets = index.offsets
    this.lines = index.lines
    this.marks = index.marks
    this.failureLines = index.failure_lines
    this.ended = index.ended
    this.#rest = new Uint8Array()
    this.#generation++
    // The last one may have been cut off where the log ended then.
    this.#blocks.delete(Math.floor(index.lines / blockLines))
  }

  async #followTail(): Promise<void> {
    // From the beginning of the last block, so that what is shown of it is whole.
    const from = this.#offsets.at(-1) ?? 0
    const known = this.lines
    this.#generation++
    this.lines = (this.#offsets.length - 1) * blockLines
    this.#bytes = from
    this.#blocks.set(this.#offsets.length - 1, [])
    const response = await send(`${this.#path}?follow=true&offset=${from}`, { signal: this.#stop.signal })
    const reader = response.body!.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      this.#add(value, known)
      this.#changed()
    }
  }

  #add(piece: Uint8Array, known: number): void {
    const bytes = new Uint8Array(this.#rest.length + piece.length)
    bytes.set(this.#rest)
    bytes.set(piece, this.#rest.length)
    let at = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, at)) {
      this.#addLine(new TextDecoder().decode(bytes.subarray(at, end)), known)
      this.#bytes += end + 1 - at
      at = end + 1
      if (this.lines % blockLines === 0) this.#offsets.push(this.#bytes)
    }
    this.#rest = bytes.slice(at)
  }

  #addLine(raw: string, known: number): void {
    const block = this.#blockFor(Math.floor(this.lines / blockLines))
    block.push(parseLine(raw, block.at(-1)?.after ?? plain))
    if (this.lines >= known) this.marks.push(...marksOf(raw, this.lines))
    this.lines++
  }

  #blockFor(block: number): Line[] {
    const held = this.#blocks.get(block) ?? []
    this.#blocks.set(block, held)
    this.#forget()
    return held
  }

  #forget(): void {
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= heldBlocks) return
      this.#blocks.delete(oldest)
    }
  }

  async #fetch(block: number): Promise<void> {
    const from = this.#offsets[block]
    if (from === undefined || this.#asked.has(block)) return
    this.#asked.add(block)
    const generation = this.#generation
    try {
      const end = this.#offsets[block + 1] ?? this.#bytes
      const response = await send(`${this.#path}?offset=${from}&end=${end}`, { signal: this.#stop.signal })
      const lines: Line[] = []
      let style = plain
      for (const raw of (await response.text()).split('\n')) {
        const line = parseLine(raw, style)
        style = line.after
        lines.push(line)
      }
      if (generation === this.#generation) {
        this.#blocks.set(block, lines)
        this.#forget()
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) this.refusal = (error as Error).message
    } finally {
      this.#asked.delete(block)
      this.#changed()
    }
  }
}

const marker = /section_(start|end):(\d{1,12}):([\w.-]{1,64})(\[[^\]]*\])?\r/g

/** What a line says of sections. */
export function marksOf(raw: string, line: number): Mark[] {
  return [...raw.matchAll(marker)].map(([, kind, at, name, options = '']) => ({
    line,
    kind: kind as Mark['kind'],
    name: name!,
    at: Number(at) * 1000,
    collapsed: /collapsed=true/.test(options),
  }))
}
