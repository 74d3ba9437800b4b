/** Step: the pipeline of a tag has succeeded: the projects that are subscribed run after the commit. */
import type { Core } from '../core.js'
import type { Pipeline } from '../pipeline.js'
import { insertSubscribedRuns } from '../store/subscriptions.js'
import type { Tx } from '../store/write.js'

/** Writes down what the subscriptions owe, and has it made after the commit. */
export async function tellSubscribers(core: Core, tx: Tx, pipeline: Pipeline): Promise<void> {
  const ids = await insertSubscribedRuns(tx, pipeline.projectId, pipeline.id)
  if (ids.length === 0) return
  tx.afterCommit(() => core.followUps.soon('run_subscribers', { ids }))
}
