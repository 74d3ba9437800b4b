/**
 * What a collector is to an exporter: takes OTLP over HTTP in, as protobuf, and keeps the spans. Field numbers are those of
 * opentelemetry/proto/{collector/trace,trace,resource,common}/v1 (https://github.com/open-telemetry/opentelemetry-proto).
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'

export interface ReceivedSpan {
  traceId: string
  spanId: string
  parentSpanId: string
  name: string
  /** Nanoseconds since 1970. */
  from: bigint
  to: bigint
  status: number
  message: string
  attributes: Record<string, unknown>
  resource: Record<string, unknown>
}

type Fields = Map<number, (Uint8Array | bigint | number)[]>

export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = []
  readonly headers: NodeJS.Dict<string | string[]>[] = []
  url = ''
  /** Answers with this instead of taking anything in. */
  refuse: number | undefined
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (this.refuse !== undefined) return response.writeHead(this.refuse).end()
      const body = Buffer.concat(chunks)
      this.headers.push(request.headers)
      this.spans.push(...spansOf(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body))
      return response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
    })
  })

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver()
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    receiver.url = `http://127.0.0.1:${(receiver.#server.address() as AddressInfo).port}/v1/traces`
    return receiver
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function spansOf(body: Uint8Array): ReceivedSpan[] {
  return messages(fieldsOf(body), 1).flatMap((resourceSpans) => {
    const resource = messages(resourceSpans, 1).map((one) => attributesOf(one, 1))[0] ?? {}
    return messages(resourceSpans, 2).flatMap((scope) => messages(scope, 2).map((span) => spanOf(span, resource)))
  })
}

function spanOf(span: Fields, resource: Record<string, unknown>): ReceivedSpan {
  const status = messages(span, 15)[0]
  return {
    traceId: hex(span, 1),
    spanId: hex(span, 2),
    parentSpanId: hex(span, 4),
    name: text(span, 5),
    from: span.get(7)?.[0] as bigint,
    to: span.get(8)?.[0] as bigint,
    status: Number(status?.get(3)?.[0] ?? 0),
    message: status ? text(status, 2) : '',
    attributes: attributesOf(span, 9),
    resource,
  }
}

function attributesOf(of: Fields, field: number): Record<string, unknown> {
  return Object.fromEntries(
    messages(of, field).map((pair) => {
      const value = messages(pair, 2)[0] ?? new Map()
      return [text(pair, 1), value.has(1) ? text(value, 1) : Number(value.get(3)?.[0] ?? Number.NaN)]
    }),
  )
}

function fieldsOf(bytes: Uint8Array): Fields {
  const fields: Fields = new Map()
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    const value = readValue(reader, type)
    fields.set(number, [...(fields.get(number) ?? []), value])
  }
  return fields
}

function readValue(reader: BinaryReader, type: WireType): Uint8Array | bigint | number {
  switch (type) {
    case WireType.Varint:
      return BigInt(reader.int64())
    case WireType.Bit64:
      return BigInt(reader.fixed64())
    case WireType.Bit32:
      return reader.fixed32()
    case WireType.LengthDelimited:
      return reader.bytes()
    default:
      throw new Error(`no field of OTLP has wire type ${type}`)
  }
}

const messages = (of: Fields, field: number): Fields[] =>
  (of.get(field) ?? []).map((one) => fieldsOf(one as Uint8Array))
const hex = (of: Fields, field: number) =>
  Buffer.from((of.get(field)?.[0] ?? new Uint8Array()) as Uint8Array).toString('hex')
const text = (of: Fields, field: number) =>
  Buffer.from((of.get(field)?.[0] ?? new Uint8Array()) as Uint8Array).toString()
