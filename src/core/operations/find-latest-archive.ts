/** Whose archive a script means that names a branch or tag and a job. */
import type { Core } from '../core.js'
import { findJobWithArchive } from '../store/artifacts.js'
import { listChildren } from '../store/downstream.js'
import { listPipelines } from '../store/pipeline-lists.js'

/** How many successful pipelines of a ref are looked through when the newest does not do. */
const recentPipelines = 100

/**
 * The id of the job in the newest successful pipeline of the ref, or, with `recent`, in one of the newest hundred; a
 * pipeline's own job comes before those of its child pipelines. Undefined: there is none with an archive.
 * Rule: gitlab app/models/project.rb, `latest_successful_build_for_ref`.
 */
export async function findLatestArchive(
  core: Core,
  input: { projectId: number; ref: string; job: string; recent: boolean },
): Promise<number | undefined> {
  const { read } = core.store
  const { projectId, ref, job } = input
  const page = { limit: input.recent ? recentPipelines : 1, offset: 0 }
  for (const { id } of await listPipelines(read, { projectId, ref, status: 'success', child: false }, page)) {
    for (let level = [id]; level.length > 0; ) {
      const below: number[] = []
      for (const pipelineId of level) {
        const found = await findJobWithArchive(read, pipelineId, job, core.clock.now())
        if (found !== undefined) return found
        below.push(...(await listChildren(read, pipelineId)))
      }
      level = below
    }
  }
  return undefined
}
