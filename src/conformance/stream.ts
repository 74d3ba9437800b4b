/** The coordinator's end of one stream of the runner that is judged: it collects, answers, and notes what no message may do. */
import type { Hello, RunnerMessage, ServerMessage } from '../gen/signalbox/runner/v1/runner.js'

type ServerBody = NonNullable<ServerMessage['body']>
export type RunnerBody = NonNullable<RunnerMessage['body']>

/** What carries the messages. */
export interface Wire {
  send(message: ServerMessage): unknown
  /** Ends it as if a cable were pulled. */
  cut(): unknown
  end(): unknown
}

/** Hears of everything that happens on any stream. */
export interface StreamOwner {
  /** A rule of envelopes is broken. */
  broken(what: string): void
  received(stream: Stream, body: RunnerBody): void
  changed(): void
}

export class Stream {
  readonly openedAt = Date.now()
  readonly bodies: RunnerBody[] = []
  hello: Hello | undefined
  open = true
  #sent = 0
  #seen = 0

  /** `token`: what came with the call or the upgrade. */
  constructor(
    private readonly owner: StreamOwner,
    private readonly wire: Wire,
    readonly token: string,
  ) {}

  send(body: ServerBody): void {
    if (this.open) this.wire.send({ seq: ++this.#sent, ack: this.#seen, body })
  }

  receive({ seq, ack, body }: RunnerMessage): void {
    if (seq !== this.#seen + 1) this.owner.broken(`an envelope has seq ${seq} after ${this.#seen}`)
    if (ack > this.#sent) this.owner.broken(`an envelope has ack ${ack}, and only ${this.#sent} were sent`)
    this.#seen = Math.max(seq, this.#seen)
    if (body === undefined) return
    if ((this.hello === undefined) !== (body.$case === 'hello'))
      this.owner.broken(this.hello ? 'Hello came twice' : `${body.$case} came before Hello`)
    this.bodies.push(body)
    if (body.$case === 'hello') this.hello ??= body.value
    this.owner.received(this, body)
    this.owner.changed()
  }

  /** What came is no message. */
  malformed(why: string): void {
    this.owner.broken(`what came is no message: ${why}`)
    this.cut()
  }

  closed(): void {
    this.open = false
    this.owner.changed()
  }

  cut(): void {
    this.wire.cut()
    this.closed()
  }

  end(): void {
    this.wire.end()
  }

  /** The messages of one kind, in the order in which they came. */
  all<C extends RunnerBody['$case']>(kind: C): Extract<RunnerBody, { $case: C }>['value'][] {
    return this.bodies.filter((body) => body.$case === kind).map((body) => body.value) as never
  }
}
