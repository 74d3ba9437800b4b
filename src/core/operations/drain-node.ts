/**
 * A node takes no new work: its streams are sent to other nodes, its polls get no job, and it is not ready for a balancer.
 * What runs goes on. It begins to take work again when it is told so, or starts anew.
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import type { Node } from '../node.js'
import { tellNodes } from '../node-signals.js'
import { deleteNode, listNodes, saveDraining } from '../store/nodes.js'

/** Sets whether the node is drained, and returns it. Throws `not_found`. */
export async function drainNode(core: Core, id: string, draining: boolean): Promise<Node> {
  await core.store.write(async (tx) => {
    if (!(await saveDraining(tx, id, draining))) throw noSuchNode(id)
    if (id === core.node) tx.afterCommit(() => core.nodeState.setDraining(draining))
    else await tellNodes(core, tx, { kind: 'node', id })
  })
  return nodeOf(core, id)
}

/**
 * Forgets a node that is gone for good. Throws `not_found`; `conflict` for one that is there, since it would come back
 * with its next sign of life.
 */
export async function removeNode(core: Core, id: string): Promise<Node> {
  const node = await nodeOf(core, id)
  if (node.alive) throw new SignalboxError('conflict', `node ${id} is there: stop it first`)
  await core.store.write((tx) => deleteNode(tx, id))
  return node
}

async function nodeOf(core: Core, id: string): Promise<Node> {
  const node = (await listNodes(core.store.read)).find((one) => one.id === id)
  if (!node) throw noSuchNode(id)
  return node
}

const noSuchNode = (id: string) => new SignalboxError('not_found', `there is no node ${JSON.stringify(id)}`)
