/**
 * Under which ids what happens here is found in a tracing system: a pipeline and all that it triggers are one trace, with a
 * span for each pipeline and job. The ids are made of the installation's key and the ids of the rows, so they are the same
 * before a restart and after it, on each node, and in a message that is sent twice; no other installation has them.
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
type MacKeys = Pick<Keys, 'mac'>

/** The pipeline's span: part of that of its trigger job, if it has one that is still known. */
export function pipelineSpan(keys: MacKeys, { id, rootId, sourceJobId }: Owner): SpanIds {
  return {
    trace: traceOf(keys, rootId ?? id),
    span: spanOf(keys, 'pipeline', id),
    parent: rootId === null || sourceJobId === null ? undefined : spanOf(keys, 'job', sourceJobId),
  }
}

/** The job's span: part of its pipeline's. */
export function jobSpan(keys: MacKeys, pipeline: Pick<Owner, 'id' | 'rootId'>, jobId: number): SpanIds {
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

function traceOf(keys: MacKeys, pipelineId: number): string {
  return keys.mac(`trace of pipeline ${pipelineId}`).toString('hex', 0, 16)
}

function spanOf(keys: MacKeys, what: 'pipeline' | 'job', id: number): string {
  return keys.mac(`span of ${what} ${id}`).toString('hex', 0, 8)
}
