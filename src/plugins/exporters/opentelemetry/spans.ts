/**
 * Spans of committed events: one for each pipeline and job that has ended, and one for each phase of a job. Names of
 * attributes are those of OpenTelemetry: https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/
 *
 * A job's last event has all that its span needs, so that one that ran while the server was away is not missing. When its
 * environment was ready is told by an event of its own, and remembered here; without it `running` begins at the acceptance.
 */
import { createHash } from 'node:crypto'
import type { ExportedEvent, Json } from '../../sdk.js'

/** What is exported of a span, before it has the form of a library. Ids in hexadecimal digits. */
export interface PlainSpan {
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  name: string
  /** Milliseconds since 1970. */
  from: number
  to: number
  attributes: Record<string, string | number>
  /** Why it failed; undefined: it did not. */
  error: string | undefined
}

const jobLimit = 100_000

const results: Record<string, string> = {
  success: 'success',
  failed: 'failure',
  canceled: 'cancellation',
  skipped: 'skip',
}

/** Takes in events, in their order, and gives the spans that each completes. */
export class SpanMaker {
  /** When the environment of a job under way was ready. */
  readonly #readyAt = new Map<number, number>()

  spansOf(event: ExportedEvent): PlainSpan[] {
    const { kind, jobId, data, at } = event
    if (kind === 'job.started' && jobId !== null) this.#remember(jobId, at)
    if (typeof data.trace_id !== 'string' || typeof data.span_id !== 'string') return []
    if (kind === 'job.finished') return this.#jobSpans(event)
    // One without jobs is over as it is made.
    if (kind === 'pipeline.created') return data.jobs === 0 ? [pipelineSpan(event, 'failed')] : []
    return kind === 'pipeline.changed' ? [pipelineSpan(event, textOf(data.to))] : []
  }

  #remember(jobId: number, at: number): void {
    if (this.#readyAt.size >= jobLimit) this.#readyAt.delete(this.#readyAt.keys().next().value as number)
    this.#readyAt.set(jobId, at)
  }

  #jobSpans(event: ExportedEvent): PlainSpan[] {
    const { data, at, jobId } = event
    const readyAt = this.#readyAt.get(jobId ?? 0)
    this.#readyAt.delete(jobId ?? 0)
    const queuedAt = timeOf(data.queued_at)
    const startedAt = timeOf(data.started_at)
    // What was never queued took no time.
    if (queuedAt === undefined && startedAt === undefined) return []
    const job = spanOf(event, {
      name: textOf(data.name),
      from: queuedAt ?? (startedAt as number),
      attributes: {
        'cicd.pipeline.run.id': String(event.pipelineId),
        'cicd.pipeline.task.name': textOf(data.name),
        'cicd.pipeline.task.run.id': String(jobId),
        'cicd.pipeline.task.run.result': resultOf(data.to),
        ...(event.runnerId === null ? {} : { 'cicd.worker.id': String(event.runnerId) }),
        ...(typeof data.class === 'string' ? { 'signalbox.failure.class': data.class } : {}),
      },
      error: data.to === 'failed' ? textOf(data.reason ?? 'failed') : undefined,
    })
    const phases: [string, number | undefined, number | undefined][] = [
      ['queued', queuedAt, startedAt ?? at],
      ['preparing', readyAt === undefined ? undefined : startedAt, readyAt],
      ['running', readyAt ?? startedAt, startedAt === undefined ? undefined : at],
    ]
    return [job, ...phases.flatMap(([name, from, to]) => phaseOf(job, name, from, to))]
  }
}

function phaseOf(job: PlainSpan, name: string, from: number | undefined, to: number | undefined): PlainSpan[] {
  if (from === undefined || to === undefined) return []
  const spanId = createHash('sha256').update(`${job.spanId} ${name}`).digest('hex').slice(0, 16)
  return [
    { ...job, spanId, parentSpanId: job.spanId, name, from, to: Math.max(from, to), attributes: {}, error: undefined },
  ]
}

function pipelineSpan(event: ExportedEvent, status: string): PlainSpan {
  const { data, at } = event
  const ref = textOf(data.ref)
  return spanOf(event, {
    name: typeof data.name === 'string' ? data.name : `pipeline ${ref}`,
    from: timeOf(data.created_at) ?? at,
    attributes: {
      'cicd.pipeline.name': typeof data.name === 'string' ? data.name : ref,
      'cicd.pipeline.run.id': String(event.pipelineId),
      'cicd.pipeline.result': resultOf(status),
      'vcs.ref.head.name': ref,
      ...(typeof data.sha === 'string' ? { 'vcs.ref.head.revision': data.sha } : {}),
      'signalbox.pipeline.source': textOf(data.source),
      'signalbox.project.id': Number(event.projectId),
    },
    error: status === 'failed' ? 'failed' : undefined,
  })
}

function spanOf(
  { data, at }: ExportedEvent,
  rest: Pick<PlainSpan, 'name' | 'from' | 'attributes' | 'error'>,
): PlainSpan {
  return {
    traceId: textOf(data.trace_id),
    spanId: textOf(data.span_id),
    parentSpanId: typeof data.parent_span_id === 'string' ? data.parent_span_id : undefined,
    to: Math.max(at, rest.from),
    ...rest,
  }
}

function resultOf(status: Json | undefined): string {
  return results[textOf(status)] ?? 'error'
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}

function timeOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined
}
