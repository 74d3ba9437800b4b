/** What jobs of other pipelines have to give. */
import type { Given } from './artifacts.js'
import type { Tx } from './write.js'

/** How a configuration names a job of another pipeline. */
export interface ForeignJob {
  projectId: number
  name: string
  /** Of one pipeline, or of all those of a ref. */
  within: { pipelineId: number } | { ref: string }
}

/**
 * What the newest successful job of this name gives: undefined if there is none, or if it has neither an archive nor
 * variables.
 */
export async function findForeignGiven(tx: Tx, { projectId, name, within }: ForeignJob): Promise<Given | undefined> {
  const row = await tx.db
    .selectFrom('jobs')
    .innerJoin('pipelines', 'pipelines.id', 'jobs.pipeline_id')
    .leftJoin('artifacts', (join) =>
      join
        .onRef('artifacts.job_id', '=', 'jobs.id')
        .on('artifacts.type', '=', 'archive')
        .on((e) => e.or([e('artifacts.expires_at', 'is', null), e('artifacts.expires_at', '>', tx.now)])),
    )
    .leftJoin('dotenv_variables', 'dotenv_variables.job_id', 'jobs.id')
    .select(['jobs.id', 'artifacts.filename', 'artifacts.size_bytes as sizeBytes', 'dotenv_variables.body as dotenv'])
    .where('pipelines.project_id', '=', projectId)
    .$if('pipelineId' in within, (q) => q.where('pipelines.id', '=', (within as { pipelineId: number }).pipelineId))
    .$if('ref' in within, (q) => q.where('pipelines.ref', '=', (within as { ref: string }).ref))
    .where('jobs.name', '=', name)
    .where('jobs.retried', '=', 0)
    .where('jobs.status', '=', 'success')
    .where('jobs.erased_at', 'is', null)
    .where((e) => e.or([e('artifacts.id', 'is not', null), e('dotenv_variables.job_id', 'is not', null)]))
    .orderBy('jobs.id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!row) return undefined
  const { id, filename, sizeBytes, dotenv } = row
  const archive = filename === null || sizeBytes === null ? null : { filename, sizeBytes }
  return { id, name, archive, dotenv, gone: false }
}
