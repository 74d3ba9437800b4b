/** The OpenTelemetry exporter: a trace for each pipeline, sent by OpenTelemetry's own packages over HTTP (OTLP, protobuf). */
import { definePlugin, type ExportedEvent, schema } from '../../sdk.js'
import type { PlainSpan } from './spans.js'

/** Below the 2 s in which a batch must be taken in: what is late then comes again. */
const timeoutMs = 1800
const packages = '@opentelemetry/exporter-trace-otlp-proto and @opentelemetry/resources'

export default definePlugin({
  id: 'exporter.opentelemetry',
  apiVersion: 1,
  config: schema.optional(
    schema.table({
      url: schema.text({ pattern: /^https?:\/\/\S+$/, hint: 'an address such as "http://collector:4318/v1/traces"' }),
      headers: schema.map(schema.text(), { default: {} }),
      service: schema.text({ default: 'signalbox' }),
    }),
  ),
  async setup(host, config) {
    if (!config) return undefined
    const { SpanMaker } = await import('./spans.js')
    const sender = await senderOf(config)
    const maker = new SpanMaker()
    host.export('opentelemetry', {
      async onEvents(events: ExportedEvent[]) {
        const spans = events.flatMap((event) => maker.spansOf(event))
        if (spans.length > 0) await sender.send(spans)
      },
    })
    return { close: () => sender.close() }
  },
})

/** Loads the packages, and gives what sends spans. Rejects with what to do where they are not installed. */
async function senderOf({ url, headers, service }: { url: string; headers: Record<string, string>; service: string }) {
  const [{ OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/exporter-trace-otlp-proto'),
    import('@opentelemetry/resources'),
  ]).catch((cause: unknown) => {
    throw new Error(`the optional packages ${packages} are not installed`, { cause })
  })
  const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis: timeoutMs })
  const origin = {
    resource: resourceFromAttributes({ 'service.name': service }),
    instrumentationScope: { name: 'signalbox' },
  }
  return {
    send: (spans: readonly PlainSpan[]) =>
      new Promise<void>((resolve, reject) => {
        exporter.export(
          spans.map((span) => ({ ...readable(span), ...origin })),
          // ExportResultCode.SUCCESS
          ({ code, error }) => (code === 0 ? resolve() : reject(error ?? new Error('the spans could not be sent'))),
        )
      }),
    close: () => exporter.shutdown(),
  }
}

/** In the form in which the library hands spans on when it has recorded them itself. */
function readable({ traceId, spanId, parentSpanId, name, from, to, attributes, error }: PlainSpan) {
  // TraceFlags.SAMPLED, SpanKind.INTERNAL, SpanStatusCode.ERROR and UNSET
  const context = (id: string) => ({ traceId, spanId: id, traceFlags: 1 })
  return {
    name,
    kind: 0,
    spanContext: () => context(spanId),
    ...(parentSpanId === undefined ? {} : { parentSpanContext: context(parentSpanId) }),
    startTime: timeOf(from),
    endTime: timeOf(to),
    duration: timeOf(to - from),
    ended: true,
    status: error === undefined ? { code: 0 } : { code: 2, message: error },
    attributes,
    links: [],
    events: [],
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
}

/** Seconds and nanoseconds of milliseconds. */
function timeOf(ms: number): [number, number] {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.round((ms - seconds * 1000) * 1_000_000)]
}
