/** Hears what other nodes tell, and does at once what this node's sweeps and renewals would do later. */
import type { Core } from '../core.js'
import { finished, type NodeSignal, readSignal } from '../node-signals.js'
import { findLease } from '../store/leases.js'
import { projectFacts } from '../store/projects.js'

/** Who looks at what is not the core's own. */
interface Others {
  /** Something is new about this node. */
  node?: () => Promise<void>
  /** A background task may have been paused or resumed. */
  tasks?: () => Promise<void>
}

/**
 * Begins. Returns what ends it, which resolves when nothing is heard any more. On SQLite, where a node is alone, there is
 * nothing to hear.
 */
export function hearNodes(core: Core, others: Others = {}): () => Promise<void> {
  const failed = (error: unknown) => core.log.warn({ err: error }, 'what another node told was not followed')
  return core.store.hear({
    heard: (text) => {
      const signal = readSignal(core.node, text)
      if (signal) follow(core, signal, others).catch(failed)
    },
    // Whatever was told meanwhile: jobs that wait are looked for, and leases are read at their next renewal.
    missed: () => {
      core.dispatcher.sweep().catch(failed)
      others.tasks?.().catch(failed)
    },
  })
}

async function follow(core: Core, signal: NodeSignal, others: Others): Promise<void> {
  const { read } = core.store
  if (signal.kind === 'node') return signal.id === core.node ? others.node?.() : undefined
  if (signal.kind === 'tasks') return others.tasks?.()
  if (signal.kind === 'queued') {
    // Also for runners that ask later: who does not know a demand does not look for its jobs.
    if (!core.demands.get(signal.demandId)) await core.demands.refresh(read)
    if (core.dispatcher.waiters === 0) return
    const project = await projectFacts(read, signal.projectId)
    if (project) core.dispatcher.jobQueued(project, signal.demandId)
    return
  }
  // A poll of the job may have come here once.
  if (signal.ended !== undefined) await core.traces.closeSession(signal.jobId, signal.fence)
  if (signal.ended === finished) return
  const listener = core.leaseSignals.of(signal.managerId)
  const lease = listener && (await findLease(read, signal.jobId, signal.fence))
  if (!lease) return
  if (signal.ended !== undefined) listener.leaseEnded(lease, signal.ended)
  else if (lease.cancelRevision > 0) listener.cancelWanted(lease)
}
