/** What is done to a whole pipeline in one body, with a turn for others between two large ones: docs/decisions/0028. */
import type { Core } from '../core.js'
import { countJobs } from '../store/job-lists.js'
import type { Body } from '../store/write.js'

/** As `core.store.write`. Where bodies come one after another, those of large pipelines wait for one another first. */
export async function writeForAll<T>(core: Core, pipelineId: number, body: Body<T>): Promise<T> {
  const write = () => core.store.write(body)
  if (core.store.engine !== 'sqlite') return write()
  const jobs = await countJobs(core.store.read, { pipelineId, retried: false })
  const isLarge = jobs === undefined || jobs > core.settings.jobsAtOnce
  return isLarge ? core.pipelineTurns.alone(write) : write()
}
