/** What is known about a job that has failed, for those who say why. */
import type { Core } from '../core.js'
import type { Evidence } from '../failure.js'
import type { Job } from '../job.js'
import type { FinalReport } from '../lease.js'
import { getDefinition } from '../store/jobs.js'
import { getProject } from '../store/projects.js'
import { findManagerById } from '../store/runners.js'
import { findTrace } from '../store/traces.js'

const tailBytes = 8 * 1024
/** A GitLab Runner gives a transfer up after three tries within seconds, but may be kept from reporting for longer. */
const lastMinutesMs = 5 * 60_000

/** `report`: what its runner has said. */
export async function gatherEvidence(
  core: Core,
  job: Job,
  report: Pick<FinalReport, 'failureReason' | 'message' | 'exitCode'>,
): Promise<Evidence> {
  const { read } = core.store
  const [project, plan, trace, manager] = await Promise.all([
    getProject(read, job.projectId),
    getDefinition(read, job.definitionId),
    findTrace(read, job.id),
    job.managerId === null ? undefined : findManagerById(read, job.managerId),
  ])
  const length = trace?.length ?? 0
  const tail = length === 0 ? Buffer.alloc(0) : await core.traces.read(job.id, Math.max(0, length - tailBytes), length)
  return {
    job: { id: job.id, name: job.name, stage: plan.stage, projectPath: project.fullPath },
    runnerReason: report.failureReason ?? '',
    message: report.message ?? '',
    exitCode: report.exitCode,
    signal: null,
    traceTail: tail.toString('utf8'),
    executor: manager?.executor ?? '',
    coordinatorWasAway: wasAway(core, job),
  }
}

/** Whether this node began to run during the job, not so long ago that the job's end has nothing to do with it. */
function wasAway({ clock }: Core, { startedAt }: Job): boolean {
  const awake = clock.awake()
  return startedAt !== null && awake < lastMinutesMs && startedAt < clock.now() - awake
}
