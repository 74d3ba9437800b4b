/** Users make, change and delete the webhooks of a project. */
import { isIP } from 'node:net'
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { isPublicAddress } from '../public-address.js'
import { record } from '../steps/record.js'
import { lastEventId, saveCursor } from '../store/events.js'
import {
  deleteWebhook as deleteRow,
  findWebhook,
  insertWebhook,
  listHookedProjects,
  listWebhooks,
  saveWebhook,
} from '../store/webhooks.js'
import { type Webhook, type WebhookSecrets, webhookCursor } from '../webhook.js'

/** What people set of a webhook, its address and secrets in plain text. */
export type WebhookInput = Pick<Webhook, 'name' | 'description' | 'jobEvents' | 'pipelineEvents' | 'verifiesTls'> &
  WebhookSecrets

const mostWebhooks = 100

/**
 * From now on the address is told. Throws `invalid` with `details.parameter` for one that may not be told, `conflict` when
 * the project has too many.
 */
export function createWebhook(core: Core, projectId: number, input: WebhookInput): Promise<Webhook> {
  requireUrl(core, input.url)
  return core.store.write(async (tx) => {
    if ((await listWebhooks(tx, projectId)).length >= mostWebhooks) {
      throw new SignalboxError('conflict', `a project may have ${mostWebhooks} webhooks`)
    }
    // The first of all: what happened before it is nobody's to be told.
    if ((await listHookedProjects(tx)).length === 0) await saveCursor(tx, webhookCursor, await lastEventId(tx))
    const webhook = await insertWebhook(tx, projectId, { ...input, sealed: seal(core, input) })
    await record(core, tx, { kind: 'project.changed', projectId, data: { webhook: webhook.id } })
    return webhook
  })
}

/** Returns the webhook as it is now. Throws as `createWebhook` does, and `not_found`. */
export function updateWebhook(core: Core, id: number, changes: Partial<WebhookInput>): Promise<Webhook> {
  if (changes.url !== undefined) requireUrl(core, changes.url)
  return core.store.write(async (tx) => {
    const before = await findWebhook(tx, id)
    if (!before) throw new SignalboxError('not_found', `no webhook ${id}`)
    const after = { ...before, ...opened(core, before), ...changes }
    await saveWebhook(tx, id, { ...after, sealed: seal(core, after) })
    await record(core, tx, { kind: 'project.changed', projectId: before.projectId, data: { webhook: id } })
    return (await findWebhook(tx, id))!
  })
}

/** What was not delivered yet is not. Throws `not_found`. */
export function deleteWebhook(core: Core, id: number): Promise<void> {
  return core.store.write(async (tx) => {
    const before = await findWebhook(tx, id)
    if (!before) throw new SignalboxError('not_found', `no webhook ${id}`)
    await deleteRow(tx, id)
    await record(core, tx, { kind: 'project.changed', projectId: before.projectId, data: { webhook: id } })
  })
}

/** The address and the token of a webhook. */
export function opened(core: Core, webhook: Webhook): WebhookSecrets {
  return JSON.parse(core.keys.open(webhook.sealed).toString('utf8'))
}

function seal(core: Core, { url, token }: WebhookSecrets): Uint8Array {
  return core.keys.seal(Buffer.from(JSON.stringify({ url, token })))
}

/** Names are looked up when they are told something; an address that stands in the URL is refused at once. */
function requireUrl(core: Core, text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const name = url?.hostname.replace(/^\[|\]$/g, '') ?? ''
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:'
  const isOurs = isIP(name) === 0 ? /(^|\.)localhost$/.test(name) : !isPublicAddress(name)
  const isAllowed = url !== undefined && core.settings.webhookHosts.includes(url.host)
  if (!isWeb || (isOurs && !isAllowed)) {
    throw new SignalboxError('invalid', 'Invalid url given', { details: { parameter: 'url' } })
  }
}
