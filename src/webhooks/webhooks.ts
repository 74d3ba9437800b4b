/**
 * Tells webhooks of what happens to jobs and pipelines. It follows the events as exporters do (`core/cursor-reader.ts`): what is
 * to be told is written down in the transaction that moves the cursor on, then sent, at least once, with a few tries. Where
 * no project has a webhook nothing is read at all. Of several nodes one follows the events; all send, and whoever takes a
 * message is alone with it.
 */
import { asFault } from '../core/as-fault.js'
import type { Core } from '../core/core.js'
import { CursorReader, type Taken } from '../core/cursor-reader.js'
import { eachSafely } from '../core/each-safely.js'
import type { JobStatus } from '../core/lifecycle/job-machine.js'
import { opened } from '../core/operations/edit-webhook.js'
import { moveHeldCursor } from '../core/store/cursors.js'
import type { StoredEvent } from '../core/store/events.js'
import {
  delayMessage,
  deleteMessage,
  findWebhook,
  insertMessage,
  listDueMessages,
  listHookedProjects,
  listWebhooks,
  saveWebhookState,
  takeMessage,
} from '../core/store/webhooks.js'
import { SealError } from '../core/tokens/keys.js'
import { gitlabVersion, version } from '../core/version.js'
import {
  pauseAfter,
  retryWaitsMs,
  type Webhook,
  type WebhookEvent,
  type WebhookMessage,
  webhookCursor,
} from '../core/webhook.js'
import { jobPayload, pipelinePayload } from './payload.js'
import { type SendOptions, send } from './send.js'

/** Looks without having been woken: for what other nodes have written down, and for second tries. */
const lookEveryMs = 1000
/** Looks whether other nodes have made webhooks. */
const refreshEveryMs = 30_000
const batch = 200
/** Webhooks that are told something at the same time. */
const atOnce = 32
const sendWithinMs = 10_000
/** A message that a node took and never came back with is tried again after a minute. */
const takenForMs = 60_000

type Sealed = Awaited<ReturnType<typeof listDueMessages>>[number]

export class Webhooks {
  readonly #core: Core
  readonly #sendOptions: SendOptions
  /** While any project has a webhook. */
  #reader: CursorReader | undefined
  #turning: Promise<void> = Promise.resolve()
  #hooked: ReadonlySet<number> = new Set()
  #stops: (() => void)[] = []
  #running: Promise<void> | undefined
  /** Webhooks that are being told something. */
  readonly #telling = new Map<number, Promise<void>>()
  #again = false
  #closed = false

  constructor(core: Core, options: Partial<SendOptions> = {}) {
    this.#core = core
    this.#sendOptions = { hosts: core.settings.webhookHosts, timeoutMs: sendWithinMs, ...options }
  }

  /** Begins to follow. Resolves when it is known who is to be told. */
  async start(): Promise<void> {
    const { events, clock } = this.#core
    await this.#refresh()
    this.#stops = [
      events.listen((event) => {
        if (event.kind === 'project.changed') this.#refresh().catch(asFault)
        if (this.#hooked.has(event.projectId ?? 0)) this.#reader?.gather()
      }),
      clock.every(lookEveryMs, () => this.#wake()),
      clock.every(refreshEveryMs, () => {
        this.#refresh().catch(asFault)
      }),
    ]
    this.#wake()
  }

  /** Waits for what is being sent. Safe to repeat. */
  async close(): Promise<void> {
    this.#closed = true
    for (const stop of this.#stops.splice(0)) stop()
    await this.#turning
    await this.#reader?.stop()
    await this.#running
    await Promise.all(this.#telling.values())
  }

  async #refresh(): Promise<void> {
    try {
      this.#hooked = new Set(await listHookedProjects(this.#core.store.read))
      this.#turning = this.#turning.then(() => this.#turn())
      await this.#turning
    } catch (error) {
      this.#core.log.warn({ err: error }, 'webhooks could not be read')
    }
  }

  /** Begins to follow the events with the first webhook, and ends with the last. */
  async #turn(): Promise<void> {
    const reader = this.#reader
    if (this.#hooked.size > 0 && !reader && !this.#closed) {
      const made = new CursorReader(this.#core, {
        name: webhookCursor,
        batch,
        take: (events, fence) => this.#writeDown(events, fence),
      })
      await made.start().catch((error: unknown) => {
        this.#core.log.warn({ err: error }, 'webhooks do not follow the events yet')
        return made.stop()
      })
      if (made.follows) this.#reader = made
    } else if (this.#hooked.size === 0 && reader) {
      this.#reader = undefined
      await reader.stop()
    }
  }

  #wake(): void {
    if (this.#closed || this.#hooked.size === 0) return
    this.#again = true
    this.#running ??= this.#run()
      .catch((error) => this.#core.log.warn({ err: error }, 'webhooks could not be told'))
      .finally(() => {
        this.#running = undefined
      })
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false
      if (await this.#tellDue()) this.#again = true
    }
  }

  /** Writes down what is to be told of these events, and that they were read. */
  async #writeDown(events: StoredEvent[], fence: number): Promise<Taken> {
    const { store } = this.#core
    // A webhook that another node has made is told of what comes behind it.
    if (events.some(({ kind }) => kind === 'project.changed')) {
      this.#hooked = new Set(await listHookedProjects(store.read))
    }
    const last = events.at(-1) as StoredEvent
    const messages: { webhookId: number; event: WebhookEvent; body: Uint8Array }[] = []
    for (const event of events) {
      if (this.#hooked.has(event.projectId ?? 0)) messages.push(...(await this.#messagesOf(event)))
    }
    await store.write(async (tx) => {
      if (!(await moveHeldCursor(tx, webhookCursor, fence, last.id))) return
      for (const message of messages) {
        // It may have been deleted meanwhile.
        if (await findWebhook(tx, message.webhookId))
          await insertMessage(tx, { ...message, uuid: uuidOf(tx.random.bytes(16)) })
      }
    })
    if (messages.length > 0) this.#wake()
    return 'saved'
  }

  async #messagesOf(event: StoredEvent): Promise<{ webhookId: number; event: WebhookEvent; body: Uint8Array }[]> {
    const told = toldOf(event)
    if (!told) return []
    const now = this.#core.clock.now()
    const webhooks = (await listWebhooks(this.#core.store.read, event.projectId!)).filter(
      (webhook) =>
        (told.event === 'Job Hook' ? webhook.jobEvents : webhook.pipelineEvents) && (webhook.disabledUntil ?? 0) <= now,
    )
    if (webhooks.length === 0) return []
    const payload =
      told.event === 'Job Hook'
        ? await jobPayload(this.#core, event.jobId!, told.status)
        : await pipelinePayload(this.#core, event.pipelineId!, told.status)
    if (!payload) return []
    const body = this.#core.keys.seal(Buffer.from(JSON.stringify(payload)))
    return webhooks.map((webhook) => ({ webhookId: webhook.id, event: told.event, body }))
  }

  /** Has what is due sent, and waits for no address: one that is slow holds up itself alone. Returns whether any began. */
  async #tellDue(): Promise<boolean> {
    const { store, clock } = this.#core
    const free = atOnce - this.#telling.size
    if (free <= 0) return false
    const due = await listDueMessages(store.read, clock.now(), { limit: batch, except: [...this.#telling.keys()] })
    const byWebhook = new Map<number, typeof due>()
    for (const one of due) byWebhook.set(one.webhookId, [...(byWebhook.get(one.webhookId) ?? []), one])
    for (const [id, queue] of [...byWebhook].slice(0, free)) {
      this.#telling.set(id, this.#tell(id, queue))
    }
    return due.length > 0
  }

  /** One after the other, so that the address hears things in their order. */
  async #tell(id: number, queue: Sealed[]): Promise<void> {
    const tried = await eachSafely(this.#core.log, 'telling a webhook', queue, (message) => this.#try(message))
    this.#telling.delete(id)
    // After faults of ours it waits for the clock.
    if (tried > 0) this.#wake()
  }

  async #try(message: Sealed): Promise<void> {
    const { store, clock, log } = this.#core
    const webhook = await findWebhook(store.read, message.webhookId)
    if (!webhook || this.#closed) return
    if (!(await store.write((tx) => takeMessage(tx, message, tx.now + takenForMs)))) return
    // Left alone: what waits for it is not told any more.
    if ((webhook.disabledUntil ?? 0) > clock.now()) {
      await store.write((tx) => deleteMessage(tx, message.id))
      return
    }
    const failure = await this.#open(webhook, message)
    const wait = failure === undefined ? undefined : retryWaitsMs[message.attempts]
    if (failure !== undefined) {
      log.warn(
        { webhook: webhook.id, project: webhook.projectId, why: failure, again_ms: wait },
        'a webhook was not told',
      )
    }
    await store.write(async (tx) => {
      if (wait !== undefined) return delayMessage(tx, message.id, clock.now() + wait)
      await deleteMessage(tx, message.id)
      const now = await findWebhook(tx, webhook.id)
      if (!now) return
      const failures = failure === undefined ? 0 : now.failures + 1
      const pause = pauseAfter(failures)
      if (failures === now.failures && pause === 0) return
      await saveWebhookState(tx, webhook.id, { failures, disabledUntil: pause === 0 ? null : clock.now() + pause })
    })
  }

  /** Opens and sends it. Returns why it came to nothing. */
  async #open(webhook: Webhook, message: Sealed): Promise<string | undefined> {
    try {
      const body = this.#core.keys.open(message.body).toString('utf8')
      return await this.#send(webhook, { ...message, body })
    } catch (error) {
      if (error instanceof SealError) return error.message
      throw error
    }
  }

  /** Returns why it came to nothing. */
  async #send(webhook: Webhook, message: WebhookMessage): Promise<string | undefined> {
    const { url, token } = opened(this.#core, webhook)
    const headers = {
      'content-type': 'application/json',
      'user-agent': `GitLab/${gitlabVersion} signalbox/${version}`,
      'idempotency-key': message.uuid,
      'x-gitlab-event': message.event,
      'x-gitlab-event-uuid': message.uuid,
      'x-gitlab-instance': this.#core.externalUrl(),
      'x-gitlab-webhook-uuid': message.uuid,
      ...(token === null ? {} : { 'x-gitlab-token': token }),
    }
    const { body } = message
    try {
      const status = await send({ url, headers, body, verifiesTls: webhook.verifiesTls }, this.#sendOptions)
      return status >= 200 && status < 300 ? undefined : `status ${status}`
    } catch (error) {
      return (error as Error).message
    }
  }
}

/** Which webhooks are told of an event, and the status that it brought. */
function toldOf(event: StoredEvent): { event: WebhookEvent; status: JobStatus } | undefined {
  switch (event.kind) {
    case 'job.changed':
    case 'job.finished': {
      const { to } = JSON.parse(event.data) as { to?: JobStatus }
      return to === undefined ? undefined : { event: 'Job Hook', status: to }
    }
    case 'pipeline.created':
      return { event: 'Pipeline Hook', status: 'created' }
    case 'pipeline.changed': {
      const { to } = JSON.parse(event.data) as { to?: JobStatus }
      return to === undefined ? undefined : { event: 'Pipeline Hook', status: to }
    }
    default:
      return undefined
  }
}

/** A version 4 UUID (RFC 9562) of random bytes. */
function uuidOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes)
  hex[6] = (hex[6]! & 0x0f) | 0x40
  hex[8] = (hex[8]! & 0x3f) | 0x80
  return hex.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
