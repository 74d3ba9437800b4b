/** The link of a simulated runner to a node: messages in order, each with its delay, until it is cut or closed. */
import type { LeaseVerdict, RunnerMessage, ServerMessage } from '../gen/signalbox/runner/v1/runner.js'
import { Verdict } from '../gen/signalbox/runner/v1/runner.js'
import type { RunnerConnection } from '../transports/runner-connection.js'
import type { SimNode } from './node.js'
import { nameOf } from './oracle.js'
import type { Character } from './runners.js'
import type { World } from './world.js'

export type RunnerBody = NonNullable<RunnerMessage['body']>
export type ServerBody = NonNullable<ServerMessage['body']>

export interface LinkListener {
  hear(body: ServerBody): void
  /** The runner has noticed that the link is gone. */
  lost(): void
}

export class StreamLink {
  readonly connection: RunnerConnection
  readonly #world: World
  readonly #who: Character
  readonly #node: SimNode
  readonly #listener: LinkListener
  readonly #forget: () => void
  /** The runner takes the link for alive. */
  #up = true
  /** Nothing gets through any more, which nobody has noticed yet. */
  #cut = false
  #inAt = 0
  #outAt = 0
  #seq = 0
  #heard = 0

  constructor(world: World, who: Character, listener: LinkListener) {
    this.#world = world
    this.#who = who
    this.#node = world.node
    this.#listener = listener
    this.#forget = world.onceCrashed(() => this.#closeIn(world.delay()))
    this.connection = world.node.hub.open({
      door: 'websocket',
      remoteAddress: null,
      token: who.token,
      send: (message) => this.#incoming(message),
      queuedBytes: () => 0,
      pause: () => undefined,
      resume: () => undefined,
      close: () => this.#closeIn(world.delay()),
    })
  }

  /** Both ends can still reach each other. */
  get works(): boolean {
    return this.#up && !this.#cut && this.#node.open
  }

  say(body: RunnerBody): void {
    const { time } = this.#world
    if (!this.#up) return
    const message = { seq: ++this.#seq, ack: this.#heard, body }
    this.#outAt = Math.max(this.#outAt + 1, time.monotonic() + this.#world.delay())
    time.after(this.#outAt - time.monotonic(), () => {
      if (!this.#cut && !this.#node.dead) this.connection.receive(message, 100)
    })
  }

  /** Nothing gets through from now on; each end finds out in its own time. */
  cut(): void {
    if (this.#cut) return
    this.#cut = true
    const { random } = this.#who
    this.#world.time.after(random.between(1000, 90_000), () => this.#node.dead || this.connection.gone())
    this.#closeIn(random.between(1000, 90_000))
  }

  #incoming(message: ServerMessage): void {
    const { time, oracle } = this.#world
    const { body } = message
    if (this.#node.dead || !body) return
    if (body.$case === 'offer') oracle.offered(body.value, this.#who.systemId, body.value.payload)
    for (const verdict of verdictsOf(body)) {
      if (verdict.verdict === Verdict.VERDICT_HELD) oracle.renewed.set(nameOf(verdict), time.monotonic())
    }
    this.#inAt = Math.max(this.#inAt + 1, time.monotonic() + this.#world.delay())
    time.after(this.#inAt - time.monotonic(), () => {
      if (this.#cut || !this.#up) return
      this.#heard = message.seq
      if (body.$case === 'goodbye') this.#closeIn(this.#world.delay())
      else this.#listener.hear(body)
    })
  }

  #closeIn(ms: number): void {
    this.#world.time.after(ms, () => {
      if (!this.#up) return
      this.#up = false
      this.#forget()
      if (!this.#node.dead) this.connection.gone()
      this.#listener.lost()
    })
  }
}

export function verdictsOf(body: ServerBody): readonly LeaseVerdict[] {
  if (body.$case === 'welcome') return body.value.verdicts
  return body.$case === 'leaseState' ? body.value.leases : []
}
