/** An administrator asks for a job's token. It is written down who has seen it. */
import type { Core } from '../core.js'
import { SignalboxError } from '../errors.js'
import { is } from '../lifecycle/job-machine.js'
import { earlyTokenTimes, jobTokenOf } from '../steps/offer-job.js'
import { record } from '../steps/record.js'
import { lockJob, saveJob } from '../store/jobs.js'
import { getProject } from '../store/projects.js'

/**
 * The token of the job's present lease; before the first one, the token that it will carry. Throws `not_found`;
 * `conflict` for a job that has ended.
 */
export function showJobToken(core: Core, input: { jobId: number; userId: number }): Promise<string> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, input.jobId)
    if (!job) throw new SignalboxError('not_found', `no job ${input.jobId}`)
    if (is('completed', job.status))
      throw new SignalboxError('conflict', `job ${job.id} is ${job.status}: its token is dead`)
    if (job.tokenIssuedAt === null) {
      const project = await getProject(tx, job.projectId)
      Object.assign(job, earlyTokenTimes(tx.now, project.timeoutS))
      await saveJob(tx, job)
    }
    await record(core, tx, {
      kind: 'token.read',
      projectId: job.projectId,
      pipelineId: job.pipelineId,
      jobId: job.id,
      data: { user: input.userId },
    })
    return jobTokenOf(core, job)
  })
}
