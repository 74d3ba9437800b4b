/** A job's log as lines: where they begin, where its sections are, which of them show the failure; and a search through all. */
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import { countLines, type LogMark, LogScan } from '../log-scan.js'
import { hiddenBytes } from '../store/trace-pieces.js'
import { findTrace } from '../store/traces.js'
import { listVerdicts } from '../store/verdicts.js'

type Reading = Pick<Core, 'store' | 'traces'>

type LogOf = Pick<Job, 'id' | 'fence' | 'status'>

/** What of the log may be shown now, in bytes: an unfinished secret at its end is held back. */
export async function visibleLength(core: Reading, job: LogOf): Promise<number> {
  return (await visiblePart(core, job)).length
}

/** The same, and whether a debugging shell wrote in it, which is not for everybody. */
export async function visiblePart({ store, traces }: Reading, job: LogOf): Promise<{ length: number; debug: boolean }> {
  const trace = await findTrace(store.read, job.id)
  const committed = trace?.length ?? 0
  const session = traces.session(job.id, job.fence)
  let visible = session?.visible ?? committed
  // Another node has written the end, and has said how much of it is to be held back.
  if (traces.shared && (session?.committed.length ?? 0) < committed)
    visible = is('finished', job.status) ? committed : committed - (await hiddenBytes(store.read, job.id))
  return { length: Math.min(committed, visible), debug: trace?.debug === 1 }
}

/** Where things are in a log. Lines are counted from 0. */
export interface LogIndex {
  bytes: number
  lines: number
  /** Where the lines 0, 1000, 2000 … begin, in bytes. */
  offsets: number[]
  marks: LogMark[]
  /** Those that show why the job failed, in their order. */
  failureLines: number[]
  /** The job is over: nothing more will be written. */
  ended: boolean
}

/** Reads the log once, from its beginning to its end. */
export async function indexLog(core: Reading, job: Job): Promise<LogIndex> {
  // The status first: a job that has ended has no more to say than what is read after.
  const ended = is('completed', job.status)
  const bytes = await visibleLength(core, job)
  const [verdict] = await listVerdicts(core.store.read, [job.id])
  const scan = new LogScan(verdict?.lines ?? [])
  for await (const piece of pieces(core, job.id, bytes)) scan.add(piece)
  return { bytes, ...scan.end(ended), ended }
}

/** A line with what was searched for, without colours; `text` is at most 400 characters of it. */
export interface LogMatch {
  line: number
  text: string
}

/** The lines that have the text, whatever its case; the first `limit` of them, and how many there are in all. */
export async function searchLog(
  core: Reading,
  job: Job,
  { text, limit }: { text: string; limit: number },
): Promise<{ total: number; matches: LogMatch[] }> {
  const wanted = text.toLowerCase()
  const matches: LogMatch[] = []
  let total = 0
  let line = 0
  let rest = ''
  const decoder = new TextDecoder()
  const look = (whole: string): void => {
    const plain = withoutControls(whole)
    const lower = plain.toLowerCase()
    // Of most pieces nothing is found, and nothing more is done with them.
    for (let at = lower.indexOf(wanted), counted = 0, here = line; at >= 0; at = lower.indexOf(wanted, at)) {
      here += countLines(lower, counted, at)
      counted = at
      const end = lower.indexOf('\n', at)
      total++
      if (matches.length < limit) matches.push({ line: here, text: lineAround(plain, at, end) })
      if (end < 0) break
      at = end
    }
    line += countLines(whole, 0, whole.length)
  }
  for await (const piece of pieces(core, job.id, await visibleLength(core, job))) {
    const all = rest + decoder.decode(piece, { stream: true })
    const end = all.lastIndexOf('\n') + 1
    // A line without end is searched in parts, so that it never stands in memory as a whole.
    const cut = end > 0 ? end : all.length > pieceBytes ? all.length : 0
    if (cut > 0) look(all.slice(0, cut))
    rest = all.slice(cut)
  }
  look(rest)
  return { total, matches }
}

function lineAround(text: string, at: number, end: number): string {
  const start = Math.max(text.lastIndexOf('\n', at) + 1, at - 200)
  return text.slice(start, Math.min(end < 0 ? text.length : end, start + 400))
}

/** What terminals obey is not what people search for. */
function withoutControls(text: string): string {
  return text.includes('\x1b') ? text.replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, '') : text
}

const pieceBytes = 256 * 1024

async function* pieces({ traces }: Reading, jobId: number, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < length; ) {
    const piece = await traces.read(jobId, at, Math.min(length, at + pieceBytes))
    // The file is shorter than its row says: there is no more to be had.
    if (piece.length === 0) return
    at += piece.length
    yield piece
  }
}
