/** What is known about a job that has failed, for those who say why. */
import os from 'node:os'
import type { Core } from '../core.js'
import type { EarlierAttempt, Evidence } from '../evidence.js'
import type { Job } from '../job.js'
import type { FinalReport } from '../lease.js'
import type { RunnerManager } from '../runner.js'
import { getDefinition, listAttempts } from '../store/jobs.js'
import { getProject } from '../store/projects.js'
import { findManagerById } from '../store/runners.js'
import { findTrace } from '../store/traces.js'

const tailBytes = 64 * 1024
const mostAttempts = 10
/** A GitLab Runner gives a transfer up after three tries within seconds, but may be kept from reporting for longer. */
const lastMinutesMs = 5 * 60_000

/** `report`: what its runner has said. */
export async function gatherEvidence(
  core: Core,
  job: Job,
  report: Pick<FinalReport, 'failureReason' | 'message' | 'exitCode'>,
): Promise<Evidence> {
  const { read } = core.store
  const [project, plan, trace, attempts, manager] = await Promise.all([
    getProject(read, job.projectId),
    getDefinition(read, job.definitionId),
    findTrace(read, job.id),
    listAttempts(read, job, mostAttempts),
    job.managerId === null ? undefined : findManagerById(read, job.managerId),
  ])
  const length = trace?.length ?? 0
  const tail = length === 0 ? Buffer.alloc(0) : await core.traces.read(job.id, Math.max(0, length - tailBytes), length)
  return {
    job: { id: job.id, name: job.name, stage: plan.stage, projectPath: project.fullPath },
    runnerReason: report.failureReason ?? '',
    message: report.message ?? '',
    exitCode: report.exitCode,
    signal: signalOf(report.exitCode),
    traceTail: tail.toString('utf8'),
    executor: manager?.executor ?? '',
    facts: factsOf(manager),
    attempts: attempts.map(toAttempt),
    coordinatorWasAway: wasAway(core, job),
  }
}

/** A shell says 128 + n of a command that signal n has ended; the numbers are those of Linux, as of most runners. */
function signalOf(exitCode: number | null): string | null {
  if (exitCode === null) return null
  return Object.entries(os.constants.signals).find(([, number]) => exitCode === 128 + number)?.[0] ?? null
}

function factsOf(manager: RunnerManager | undefined): Record<string, string> {
  if (!manager) return {}
  const { platform, architecture, version, revision } = manager
  return Object.fromEntries(Object.entries({ platform, architecture, version, revision }).filter(([, fact]) => fact))
}

function toAttempt({ id, status, failureReason, failureClass, exitCode, runnerId }: Job): EarlierAttempt {
  return { jobId: id, status, reason: failureReason, class: failureClass, exitCode, runnerId }
}

/** Whether this node began to run during the job, not so long ago that the job's end has nothing to do with it. */
function wasAway({ clock }: Core, { startedAt }: Job): boolean {
  const awake = clock.awake()
  return startedAt !== null && awake < lastMinutesMs && startedAt < clock.now() - awake
}
