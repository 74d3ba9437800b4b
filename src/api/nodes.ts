/** Nodes: who is there, drained or not, and out of the list. For administrators. */
import type { Node } from '../core/node.js'
import { drainNode, removeNode } from '../core/operations/drain-node.js'
import { listNodes } from '../core/store/nodes.js'
import type { Route } from '../http/call.js'
import { adminRoute } from './route.js'

/** A node. Times are ISO 8601 in UTC. */
function toNode({ id, httpUrl, version, startedAt, seenAt, drainingAt, alive }: Node, own: string) {
  return {
    id,
    url: httpUrl,
    version,
    /** It is the one that answers. */
    self: id === own,
    state: drainingAt !== null && alive ? 'draining' : alive ? 'active' : 'gone',
    started_at: new Date(startedAt).toISOString(),
    /** Null: it has said that it stops. */
    seen_at: seenAt === 0 ? null : new Date(seenAt).toISOString(),
  }
}

export const nodeRoutes: readonly Route[] = [
  adminRoute('get', '/nodes', async ({ core }) => {
    const nodes = await listNodes(core.store.read)
    return { status: 200, body: nodes.map((node) => toNode(node, core.node)) }
  }),
  adminRoute('post', '/nodes/:name/drain', async ({ core, path }) => {
    return { status: 200, body: toNode(await drainNode(core, path('name'), true), core.node) }
  }),
  adminRoute('post', '/nodes/:name/resume', async ({ core, path }) => {
    return { status: 200, body: toNode(await drainNode(core, path('name'), false), core.node) }
  }),
  adminRoute('delete', '/nodes/:name', async ({ core, path }) => {
    return { status: 200, body: toNode(await removeNode(core, path('name')), core.node) }
  }),
]
