/**
 * Where admission rules are in force, a job that a runner was found for is set aside while they are asked, outside any
 * transaction; then it is claimed as any other, refused, or held. The runner's credit is reserved for so long; its others
 * take other jobs meanwhile.
 */
import { type AdmissionRequest, type AdmissionRules, type Decision, reasonOf, verdictOf } from '../admission.js'
import { asFault } from '../as-fault.js'
import type { Core } from '../core.js'
import type { Job } from '../job.js'
import type { Offer } from '../payload/offer.js'
import { demandOf } from '../scheduler/demand.js'
import type { Claimant, Waiter } from '../scheduler/dispatcher.js'
import { meets, serves } from '../scheduler/match.js'
import { claimJob } from '../steps/claim-job.js'
import { dropLocked } from '../steps/drop-locked.js'
import { record } from '../steps/record.js'
import { findJob, getDefinition, lockJob } from '../store/jobs.js'
import { excludedManagers } from '../store/lease-refusals.js'
import { countOpenLeasesOf } from '../store/leases.js'
import { getPipeline } from '../store/pipelines.js'
import { getProject, projectFacts } from '../store/projects.js'
import { findCandidate } from '../store/queue.js'
import type { Tx } from '../store/write.js'

/** Candidates asked about for one poll: each may take half a second. */
const attempts = 5

/** Begins to lead a job to the waiter. Gives whether there was one to be asked about; the rest happens by itself. */
export async function admitToWaiter(core: Core, rules: AdmissionRules, waiter: Waiter): Promise<boolean> {
  const { dispatcher } = core
  if (waiter.free() <= 0 || !dispatcher.has(waiter)) return false
  dispatcher.hold(waiter)
  const job = await setNextAside(core, waiter).catch((error: unknown) => {
    dispatcher.unhold(waiter)
    throw error
  })
  if (!job) {
    dispatcher.unhold(waiter)
    return false
  }
  lead(core, rules, job, waiter)
    .then((offer) => {
      if (offer) dispatcher.deliver(waiter, offer)
      else giveBack(core, waiter)
    })
    .catch((error: unknown) => {
      core.log.error({ err: error, job: job.id }, 'a job that was set aside could not be led on')
      giveBack(core, waiter)
    })
    .catch(asFault)
  return true
}

/** The best job that is admitted, for one who asks once. */
export async function leaseAdmitted(
  core: Core,
  rules: AdmissionRules,
  claimant: Claimant,
): Promise<{ offer: Offer } | { offer?: undefined; conflict: boolean }> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const job = await setNextAside(core, claimant)
    if (!job) return { conflict: false }
    const offer = await lead(core, rules, job, claimant)
    if (offer) return { offer }
  }
  return { conflict: false }
}

function giveBack(core: Core, waiter: Waiter): void {
  core.dispatcher.unhold(waiter)
  core.dispatcher.seek(waiter)
}

/** The job that the claimant should get next, set aside; undefined if there is none. */
async function setNextAside(core: Core, claimant: Claimant): Promise<Job | undefined> {
  for (;;) {
    if (core.asides.full) return undefined
    const head = await findCandidate(core.store.read, core.dispatcher.seekerOf(claimant), core.clock.now())
    const job = head && (await findJob(core.store.read, head.jobId))
    if (!job) return undefined
    // Somebody else may have been quicker while the store was read.
    if (core.asides.add(job.id, job.projectId)) return job
  }
}

/** Asks about the job that is set aside, and does what is said. Gives the offer if it was admitted and could be claimed. */
async function lead(core: Core, rules: AdmissionRules, job: Job, claimant: Claimant): Promise<Offer | undefined> {
  const { asides } = core
  const before = asides.holdOf(job.id)?.decision
  try {
    const decisions = await rules.ask(await requestFor(core, job, claimant))
    const against = verdictOf(decisions)
    if (!against || against.verdict === 'admit') return await claim(core, job.id, claimant, decisions)
    if (against.verdict === 'refuse') await refuse(core, job.id, against, decisions)
    else {
      if (!before || reasonOf(before) !== against.reason) await writeDown(core, job, decisions)
      asides.hold(job.id, against, against.seconds)
    }
    return undefined
  } finally {
    if (!asides.holdOf(job.id)) asides.remove(job.id)
  }
}

async function requestFor(core: Core, job: Job, { runner }: Claimant): Promise<AdmissionRequest> {
  const { read } = core.store
  const [project, pipeline, plan] = [
    await getProject(read, job.projectId),
    await getPipeline(read, job.pipelineId),
    await getDefinition(read, job.definitionId),
  ]
  const open = await countOpenLeasesOf(read, job.projectId)
  const ahead = core.asides.ahead(job.id, job.projectId)
  return {
    job: {
      id: job.id,
      name: job.name,
      stage: plan.stage,
      projectPath: project.fullPath,
      ref: pipeline.ref,
      protected: pipeline.protected === 1,
      tags: [...plan.tags],
      queuedAt: job.queuedAt ?? job.createdAt,
    },
    runner: {
      id: runner.id,
      description: runner.description,
      type: runner.type,
      tags: JSON.parse(runner.tags),
    },
    running: { all: open.all + ahead.all, project: open.project + ahead.project },
    now: core.clock.now(),
  }
}

function claim(
  core: Core,
  jobId: number,
  claimant: Claimant,
  decisions: readonly Decision[],
): Promise<Offer | undefined> {
  return core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (job?.inQueue !== 1 || !(await stillFits(core, tx, job, claimant))) return undefined
    const offer = await claimJob(core, tx, job, claimant)
    if (offer) await recordAll(core, tx, job, decisions)
    return offer
  })
}

/** What held when the job was found may not hold any more. */
async function stillFits(core: Core, tx: Tx, job: Job, { facts, managerId }: Claimant): Promise<boolean> {
  const project = await projectFacts(tx, job.projectId)
  const pipeline = await getPipeline(tx, job.pipelineId)
  const demand = demandOf(await getDefinition(tx, job.definitionId), pipeline.protected === 1, core.settings)
  if (!project || !serves(facts, project) || !meets(facts, demand)) return false
  return !(await excludedManagers(tx, job.id, core.clock.now())).has(managerId)
}

async function refuse(core: Core, jobId: number, against: Decision, decisions: readonly Decision[]) {
  await core.store.write(async (tx) => {
    const job = await lockJob(tx, jobId)
    if (job?.inQueue !== 1) return
    await recordAll(core, tx, job, decisions)
    const message = `${against.rule}: ${reasonOf(against)}`
    await dropLocked(core, tx, job, { reason: 'job_router_failure', class: 'policy', message })
  })
}

async function writeDown(core: Core, job: Job, decisions: readonly Decision[]): Promise<void> {
  await core.store.write((tx) => recordAll(core, tx, job, decisions))
}

async function recordAll(core: Core, tx: Tx, job: Job, decisions: readonly Decision[]): Promise<void> {
  for (const decision of decisions) {
    await record(core, tx, {
      kind: 'job.admission',
      projectId: job.projectId,
      pipelineId: job.pipelineId,
      jobId: job.id,
      data: {
        rule: decision.rule,
        verdict: decision.verdict,
        ...('reason' in decision ? { reason: decision.reason } : {}),
        ...('seconds' in decision ? { seconds: decision.seconds } : {}),
        dry_run: decision.dryRun,
        ...(decision.failed === undefined ? {} : { failed: decision.failed }),
      },
    })
  }
}
