/** Webhooks of a project. */
import { defined } from '../../core/defined.js'
import { createWebhook, deleteWebhook, opened, updateWebhook } from '../../core/operations/edit-webhook.js'
import { findWebhook, listWebhooks } from '../../core/store/webhooks.js'
import type { Webhook } from '../../core/webhook.js'
import type { Reply, Route } from '../../http/call.js'
import { type Params, wrongParameter } from '../../http/params.js'
import { idOf, type ProjectCall, projectRoute } from '../call.js'
import { toWebhook } from '../convert/webhook.js'
import { notFound } from '../errors.js'
import { pageReply, requestedPage } from '../pages.js'

const administer = { deed: 'administer', signedIn: true } as const
const base = '/projects/:id/hooks'
const one = `${base}/:hook_id`

export const webhookRoutes: readonly Route[] = [
  projectRoute('get', base, administer, list),
  projectRoute('post', base, administer, create),
  projectRoute('get', one, administer, async (call) => shown(call, await webhookOf(call))),
  projectRoute('put', one, administer, update),
  projectRoute('delete', one, administer, async (call) => {
    await deleteWebhook(call.core, (await webhookOf(call)).id)
    return { status: 204 }
  }),
]

async function list(call: ProjectCall): Promise<Reply> {
  const { core, project } = call
  const page = requestedPage(call)
  const rows = await listWebhooks(core.store.read, project.id, { ...page, limit: page.perPage + 1 })
  return pageReply(
    call,
    page,
    rows.map((row) => entity(call, row)),
    undefined,
  )
}

async function create(call: ProjectCall): Promise<Reply> {
  const { core, project, params } = call
  const url = params.requiredText('url', { max: 2048 })
  const none = { name: '', description: '', jobEvents: false, pipelineEvents: false, verifiesTls: true, token: null }
  return shown(call, await createWebhook(core, project.id, { ...none, ...fromRequest(params), url }), 201)
}

async function update(call: ProjectCall): Promise<Reply> {
  const { id } = await webhookOf(call)
  const url = call.params.text('url', { max: 2048 }) || undefined
  return shown(call, await updateWebhook(call.core, id, { ...fromRequest(call.params), ...defined({ url }) }))
}

/** What a request says of a webhook. Kinds of events that are never told may be asked for, and are shown as off. */
function fromRequest(params: Params) {
  const token = params.text('token', { max: 255 })
  if (token !== undefined && /[^\x20-\x7e]/.test(token)) throw wrongParameter('token')
  return defined({
    name: params.text('name', { max: 255 }),
    description: params.text('description', { max: 2048 }),
    jobEvents: params.boolean('job_events'),
    pipelineEvents: params.boolean('pipeline_events'),
    verifiesTls: params.boolean('enable_ssl_verification'),
    token: token === '' ? null : token,
  })
}

async function webhookOf(call: ProjectCall): Promise<Webhook> {
  const webhook = await findWebhook(call.core.store.read, idOf(call, 'hook_id', 'Hook'))
  if (webhook?.projectId !== call.project.id) throw notFound('Hook')
  return webhook
}

function shown(call: ProjectCall, webhook: Webhook, status = 200): Reply {
  return { status, body: entity(call, webhook) }
}

function entity({ core }: ProjectCall, webhook: Webhook): object {
  return toWebhook(webhook, opened(core, webhook), core.clock.now())
}
