/** Users decide how long artifacts live. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { expireArtifactsOf, keepArtifacts as keepRows } from '../store/artifacts.js'

/** The job's artifacts do not expire any more. Throws `not_found` when it has none. */
export async function keepArtifacts(core: Core, jobId: number): Promise<void> {
  const kept = await core.store.write((tx) => keepRows(tx, jobId))
  if (!kept) throw new SignalboxError('not_found', `job ${jobId} has no artifacts`)
}

/** Every artifact of the project expires now; the next sweep deletes the bytes. */
export async function expireProjectArtifacts(core: Core, projectId: number): Promise<void> {
  await core.store.write((tx) => expireArtifactsOf(tx, projectId))
}
