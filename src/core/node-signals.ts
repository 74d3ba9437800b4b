/**
 * What a node tells the others that share its store, with the transaction that makes it so. It only hastens: all that it says
 * stands in the store, where a sweep, a renewal or the next attach finds it. A node ignores what it does not understand, since
 * another version may have said it.
 */
import type { Core } from './core.js'
import type { Lease } from './lease.js'
import type { Tx } from './store/write.js'

/** A job waits in a lane of this project and demand. */
export interface QueuedSignal {
  kind: 'queued'
  projectId: number
  demandId: number
}

/** Something is new about a lease that another node serves: a cancel is wanted, or it has ended. */
export interface LeaseSignal {
  kind: 'lease'
  managerId: number
  jobId: number
  fence: number
  /** Why it has ended; absent: it has not. */
  ended?: string
}

/** Something is new about a node: it is to be drained, or not any more. */
export interface AboutNodeSignal {
  kind: 'node'
  id: string
}

/** A background task was paused or resumed. */
export interface TasksSignal {
  kind: 'tasks'
}

/** The end of a lease that its runner has made itself, and so knows of. */
export const finished = 'finished'

/** What is told. */
export type NodeSignal = QueuedSignal | LeaseSignal | AboutNodeSignal | TasksSignal

/** Tells the other nodes when the transaction is committed; on SQLite there are none. */
export async function tellNodes(core: Core, tx: Tx, signal: NodeSignal): Promise<void> {
  await tx.tell(JSON.stringify({ from: core.node, ...signal }))
}

/** Tells the node that serves the lease, if it is another one. `ended`: why it has ended. */
export async function tellOfLease(
  core: Core,
  tx: Tx,
  { node, managerId, jobId, fence }: Pick<Lease, 'node' | 'managerId' | 'jobId' | 'fence'>,
  ended?: string,
): Promise<void> {
  if (node === core.node) return
  await tellNodes(core, tx, { kind: 'lease', managerId, jobId, fence, ...(ended === undefined ? {} : { ended }) })
}

/** What another node has told; undefined: nothing that this one understands, or its own words. */
export function readSignal(node: string, text: string): NodeSignal | undefined {
  let said: Partial<Record<string, unknown>>
  try {
    said = JSON.parse(text)
  } catch {
    return undefined
  }
  if (said === null || typeof said !== 'object' || said.from === node) return undefined
  const isId = (value: unknown): value is number => Number.isSafeInteger(value)
  const { kind, projectId, demandId, managerId, jobId, fence, ended, id } = said
  if (kind === 'queued' && isId(projectId) && isId(demandId)) return { kind, projectId, demandId }
  if (kind === 'lease' && isId(managerId) && isId(jobId) && isId(fence)) {
    return { kind, managerId, jobId, fence, ...(typeof ended === 'string' ? { ended } : {}) }
  }
  if (kind === 'node' && typeof id === 'string') return { kind, id }
  if (kind === 'tasks') return { kind }
  return undefined
}
