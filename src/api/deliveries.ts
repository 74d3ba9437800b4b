/**
 * Deliveries of forges, and what people set for them; the project by its id or path:
 *
 * - `POST /projects/:id/hooks/github|gitlab|gitea|generic`: a delivery of the forge, proved by the project's secret
 * - `POST /projects/:id/hook-secret`: makes the secret, or another; told once. `DELETE` removes it
 * - `GET /projects/:id/hook-deliveries`: what has come, and what became of it
 */

import { isUtf8 } from 'node:buffer'
import { createHmac } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { can } from '../core/authorize.js'
import type { Core } from '../core/core.js'
import { type Delivery, type Forge, forges } from '../core/delivery.js'
import { SignalboxError } from '../core/errors.js'
import { deliverySecret, removeDeliverySecret, rotateDeliverySecret } from '../core/operations/edit-delivery-secret.js'
import { receiveDelivery } from '../core/operations/receive-delivery.js'
import type { Project } from '../core/project.js'
import { listDeliveries } from '../core/store/deliveries.js'
import { findProject, findProjectByPath } from '../core/store/projects.js'
import { hashToken, sameHash } from '../core/tokens/token.js'
import { readBody } from '../http/body.js'
import { type Call, idFrom, type Reply, type Route, type UserCall } from '../http/call.js'
import { jsonLimits, parseJson } from '../http/json.js'
import { bodyLimits, mediaType } from '../http/read-params.js'
import { readPayload } from './delivery-payloads.js'
import { signedInRoute } from './route.js'

export const deliveryRoutes: readonly Route[] = [
  { method: 'post', path: '/projects/:id/hooks/:forge', streams: true, handle: receive },
  signedInRoute('post', '/projects/:id/hook-secret', rotate),
  signedInRoute('delete', '/projects/:id/hook-secret', remove),
  signedInRoute('get', '/projects/:id/hook-deliveries', list),
]

/** How each forge proves that it knows the secret, and where it tells what has happened. */
const doors: Record<
  Forge,
  { proof: (req: IncomingMessage, body: Buffer, secret: string) => boolean; event: string; id: string }
> = {
  github: { proof: signedBy('x-hub-signature-256', 'sha256='), event: 'x-github-event', id: 'x-github-delivery' },
  gitea: { proof: signedBy('x-gitea-signature', ''), event: 'x-gitea-event', id: 'x-gitea-delivery' },
  gitlab: { proof: namesSecret('x-gitlab-token'), event: 'x-gitlab-event', id: 'x-gitlab-event-uuid' },
  generic: {
    proof: signedBy('x-signalbox-signature', 'sha256='),
    event: 'x-signalbox-event',
    id: 'x-signalbox-delivery',
  },
}

/** Compared by their hashes, in constant time whatever comes. */
function same(given: string, wanted: string): boolean {
  return sameHash(hashToken(given), hashToken(wanted))
}

function signedBy(header: string, prefix: string) {
  return (req: IncomingMessage, body: Buffer, secret: string): boolean =>
    same(headerOf(req, header).toLowerCase(), prefix + createHmac('sha256', secret).update(body).digest('hex'))
}

function namesSecret(header: string) {
  return (req: IncomingMessage, _: Buffer, secret: string): boolean => same(headerOf(req, header), secret)
}

function headerOf(req: IncomingMessage, name: string): string {
  const value = req.headers[name]
  return typeof value === 'string' ? value : ''
}

/** GitHub tells of up to 2,048 commits in one push, with the names of their files. */
const payloadBytes = 8 * 1024 * 1024
const payloadLimits = { ...jsonLimits, entries: 200_000 }
const longestId = 255

async function receive(call: Call): Promise<Reply> {
  const { core, req, res } = call
  const forge = forges.find((one) => one === call.path('forge'))
  if (!forge) throw new SignalboxError('not_found', `webhooks come from ${forges.join(', ')}`)
  const door = doors[forge]
  const body = await readBody(req, res, core.clock, { ...bodyLimits, bytes: payloadBytes })
  const project = await findBy(core, call.path('id'))
  const secret = project && (await deliverySecret(core, project.id))
  // A project that is not there, or takes no deliveries, is not told apart from a signature that does not fit.
  if (!door.proof(req, body, secret ?? '') || !project || secret === undefined) {
    call.access.countWrong(req)
    throw new SignalboxError('unauthenticated', 'the signature does not fit the secret of a project here')
  }
  if (mediaType(req.headers['content-type']) !== 'application/json') {
    throw new SignalboxError('unsupported_media_type', 'the payload must be JSON: choose application/json in the forge')
  }
  if (!isUtf8(body)) throw new SignalboxError('invalid', 'the payload is not valid UTF-8')
  const payload = parseJson(body.toString('utf8'), payloadLimits)
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw new SignalboxError('invalid', 'the payload is not a map')
  }
  const id = headerOf(req, door.id)
  if (id.length > longestId) throw new SignalboxError('invalid', `the header ${door.id} is too long`)
  const name = headerOf(req, door.event) || (forge === 'generic' ? 'push' : '')
  const event = readPayload(forge, name.slice(0, longestId), payload)
  const { delivery, known } = await receiveDelivery(core, { projectId: project.id, forge, forgeId: id || null, event })
  return { status: known ? 200 : 202, body: { ...toDelivery(delivery), duplicate: known } }
}

async function rotate(call: UserCall): Promise<Reply> {
  const project = await administered(call)
  const secret = await rotateDeliverySecret(call.core, { projectId: project.id, userId: call.actor.user.id })
  const base = `${call.core.externalUrl()}/api/signalbox/v1/projects/${project.id}/hooks`
  const urls = Object.fromEntries(forges.map((forge) => [forge, `${base}/${forge}`]))
  return { status: 201, body: { project_id: project.id, secret, urls } }
}

async function remove(call: UserCall): Promise<Reply> {
  if (await removeDeliverySecret(call.core, (await administered(call)).id)) return { status: 204 }
  throw new SignalboxError('not_found', 'the project has no secret for webhooks')
}

async function list(call: UserCall): Promise<Reply> {
  const project = await administered(call)
  const limit = call.params.integer('per_page', { min: 1, max: 100 }) ?? 20
  const page = call.params.integer('page', { min: 1, max: 1_000_000 }) ?? 1
  const deliveries = await listDeliveries(call.core.store.read, project.id, { limit, offset: (page - 1) * limit })
  return { status: 200, body: deliveries.map(toDelivery) }
}

async function administered({ core, actor, path }: UserCall): Promise<Project> {
  const project = await findBy(core, path('id'))
  if (!project || !(await can(core, actor, 'read', project))) {
    throw new SignalboxError('not_found', 'there is no such project')
  }
  if (await can(core, actor, 'administer', project)) return project
  throw new SignalboxError('forbidden', 'webhooks are set by those who may administer the project')
}

function findBy(core: Core, given: string): Promise<Project | undefined> {
  const id = idFrom(given)
  return id === undefined ? findProjectByPath(core.store.read, given) : findProject(core.store.read, id)
}

function toDelivery(delivery: Delivery): object {
  return {
    id: delivery.id,
    forge: delivery.forge,
    delivery: delivery.forgeId,
    event: delivery.event.kind,
    status: delivery.status,
    attempts: delivery.attempts,
    pipeline_id: delivery.pipelineId,
    message: delivery.message,
    received_at: new Date(delivery.createdAt).toISOString(),
  }
}
