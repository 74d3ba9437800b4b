/**
 * A node joins those that share its store. Before it does anything else it makes sure that it can live beside them: their
 * versions are at most one apart. Then its row says that it is there, and is renewed as long as it is; with it the duty of
 * the background tasks, which one of the nodes has.
 */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { dutyTermMs, type Node } from '../node.js'
import { holdDuty, releaseDuties } from '../store/duties.js'
import { leaveNode, listNodes, saveNode, touchNode } from '../store/nodes.js'
import type { Reader, Tx } from '../store/write.js'
import { version, worksBeside } from '../version.js'

const tasksDuty = 'tasks'

/** The other nodes that are there now. */
export async function livingOthers(from: Reader | Tx, node: string): Promise<Node[]> {
  if (from.engine === 'sqlite') return []
  return (await listNodes(from)).filter(({ id, alive }) => alive && id !== node)
}

/** Throws `invalid` if a node is there whose version is too far from this one's. */
export async function checkVersions(read: Reader, node: string, own = version): Promise<void> {
  const far = (await livingOthers(read, node)).find((other) => !worksBeside(other.version, own))
  if (!far) return
  const theirs = far.version === '' ? 'of an older version' : far.version
  throw new SignalboxError(
    'invalid',
    `this is signalbox ${own}, and node ${far.id} at ${far.httpUrl} is ${theirs}: nodes of one store are at most one minor version apart; upgrade by the versions between, or stop that node`,
  )
}

/** Writes that this node is there from now on, with no duty yet where it has company. `httpUrl`: where it listens. */
export async function joinNode(core: Core, tx: Tx, httpUrl: string): Promise<void> {
  await saveNode(tx, { id: core.node, httpUrl, version })
  if (tx.engine === 'postgres') tx.afterCommit(() => core.nodeState.setDuty(0))
}

/**
 * Says that this node still is there, and learns whether it is drained and whether the tasks are its duty. A row that was
 * removed meanwhile is made again.
 */
export async function beatNode(core: Core, httpUrl: string): Promise<void> {
  const began = core.clock.now()
  const { row, fence, others } = await core.store.write(async (tx) => ({
    row: await touchNode(tx, core.node),
    fence: await holdDuty(tx, { name: tasksDuty, holder: core.node, termMs: dutyTermMs }),
    others: await livingOthers(tx, core.node),
  }))
  core.nodeState.hasCompany = others.length > 0
  core.nodeState.setDuty(fence === undefined ? 0 : began + dutyTermMs)
  if (row) core.nodeState.setDraining(row.drainingAt !== null)
  else await core.store.write((tx) => saveNode(tx, { id: core.node, httpUrl, version }))
}

/** Says that it is going, so that nobody waits for it. */
export async function leaveNodes(core: Core): Promise<void> {
  await core.store.write(async (tx) => {
    await leaveNode(tx, core.node)
    await releaseDuties(tx, core.node)
  })
}
