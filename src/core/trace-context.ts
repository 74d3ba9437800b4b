/**
 * Under which ids what happens here is found in a tracing system: a pipeline and all that it triggers are one trace, with a
 * span for each pipeline and job. The ids are made of words of the installation's key file and the ids of the rows, so they are the
 * same before a restart and after it, on each node, and in a message that is sent twice; no other installation has them.
 * They are no secret, and each job needs several: they are mixed by arithmetic, not by a MAC.
 * https://www.w3.org/TR/trace-context/
 */
import type { Pipeline } from './pipeline.js'
import type { Keys } from './tokens/keys.js'

/** A span's place. All in hexadecimal digits, as W3C writes them. */
export interface SpanIds {
  trace: string
  span: string
  /** The span that it is part of; undefined: it is the trace's root. */
  parent: string | undefined
}

type Owner = Pick<Pipeline, 'id' | 'rootId' | 'sourceJobId'>
type Seed = Pick<Keys, 'traceSeed'>

/** The pipeline's span: part of that of its trigger job, if it has one that is still known. */
export function pipelineSpan(keys: Seed, { id, rootId, sourceJobId }: Owner): SpanIds {
  return {
    trace: traceOf(keys, rootId ?? id),
    span: spanOf(keys, 'pipeline', id),
    parent: rootId === null || sourceJobId === null ? undefined : spanOf(keys, 'job', sourceJobId),
  }
}

/** The job's span: part of its pipeline's. */
export function jobSpan(keys: Seed, pipeline: Pick<Owner, 'id' | 'rootId'>, jobId: number): SpanIds {
  return {
    trace: traceOf(keys, pipeline.rootId ?? pipeline.id),
    span: spanOf(keys, 'job', jobId),
    parent: spanOf(keys, 'pipeline', pipeline.id),
  }
}

/** The header `traceparent` for what happens inside the span: version 00, sampled. */
export function traceparentOf({ trace, span }: Pick<SpanIds, 'trace' | 'span'>): string {
  return `00-${trace}-${span}-01`
}

/** The ids as the data of an event has them. */
export function spanData({ trace, span, parent }: SpanIds): Record<string, string> {
  return { trace_id: trace, span_id: span, ...(parent === undefined ? {} : { parent_span_id: parent }) }
}

const kinds = { trace: 1, pipeline: 2, job: 3 } as const

function traceOf(keys: Seed, pipelineId: number): string {
  return mixed(keys, 'trace', pipelineId, 4)
}

function spanOf(keys: Seed, what: 'pipeline' | 'job', id: number): string {
  return mixed(keys, what, id, 2)
}

/** So many words of 32 bits in hexadecimal digits. Two ids of a kind never get the same. */
function mixed({ traceSeed }: Seed, kind: keyof typeof kinds, id: number, words: 2 | 4): string {
  // An id has 53 bits at most, which leaves room for the kind.
  const halves = [id >>> 0, Math.floor(id / 2 ** 32) | (kinds[kind] << 24)]
  let text = ''
  let last = 0
  for (let i = 0; i < words; i++) {
    last = scrambled((halves[i % 2]! ^ traceSeed[i]! ^ last) >>> 0)
    text += last.toString(16).padStart(8, '0')
  }
  return text
}

/** A permutation of 32-bit numbers in which each bit depends on all (the finalizer of MurmurHash3, which is in the public domain). */
function scrambled(word: number): number {
  let h = word
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
