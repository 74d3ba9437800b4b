/**
 * Step: makes a lease of a pending job for a claimant, in the transaction that took it out of the queue. The lease is
 * offered, or on doors without a second phase accepted at once.
 */
import type { Core } from '../core.js'
import { defined } from '../defined.js'
import { type Job, resolveTimeout } from '../job.js'
import { isStream, type Lease, termsOf } from '../lease.js'
import { type HandOut, type QueueFigures, spliceHandOut } from '../payload/hand-out.js'
import type { Offer } from '../payload/offer.js'
import { buildHandOut, hasSecrets, type PayloadFacts } from '../payload/payload.js'
import type { Claimant } from '../scheduler/dispatcher.js'
import { lastJobEvent } from '../store/events.js'
import { saveJob, timeoutsOf } from '../store/jobs.js'
import { insertLease } from '../store/leases.js'
import { findPayload } from '../store/payloads.js'
import { countInstanceJob, instanceJobsOf } from '../store/project-counts.js'
import { findManagerById } from '../store/runners.js'
import type { Tx } from '../store/write.js'
import { issueJobToken, type JobTokenClaims, jobTokenScopes } from '../tokens/job-token.js'
import { SealError } from '../tokens/keys.js'
import { acceptOffer } from './accept-offer.js'
import { keepPayload } from './gather-payload.js'
import { idTokenSigner } from './id-token-key.js'
import { variablesOf } from './pipeline-context.js'
import { record } from './record.js'

/**
 * The job is pending and out of the queue; its row is written here. Returns the offer, to be delivered after the commit.
 * `known.facts`: what its payload is made of, for a job whose payload is not kept. It is kept here if it will be asked for
 * again: on a polling door, whose answer may be lost, and where the log must be searched for secrets. A stream that loses the
 * offer loses the lease with it, and then the payload is gathered anew.
 * Throws `SealError`, and has changed nothing then, when its payload cannot be opened: the job is to be dropped.
 */
export async function offerJob(
  core: Core,
  tx: Tx,
  job: Job,
  claimant: Claimant,
  known: {
    facts?: PayloadFacts
    timeouts?: { job: number | null; project: number }
    queue?: QueueFigures
  } = {},
): Promise<Offer> {
  const { runner } = claimant
  const queue = known.queue ?? straight
  const { facts } = known
  const atOnce = facts !== undefined && isStream(claimant.door) && !hasSecrets(facts)
  const stored = atOnce ? undefined : await (facts ? keepPayload(core, tx, job, facts) : openPayload(core, tx, job))
  const { predefined } = await variablesOf(core, tx, job.pipelineId)
  const timeouts = known.timeouts ?? (await timeoutsOf(tx, job))
  const timeout = resolveTimeout({ ...timeouts, runner: runner.maximumTimeoutS })
  const terms = termsOf(claimant.door, core.settings.leases)
  job.fence += 1
  job.inQueue = 0
  job.timeoutS = timeout.seconds
  job.timeoutSource = timeout.source
  const token = tokenForLease(core, job, tx.now)
  await saveJob(tx, job)
  const lease: Omit<Lease, 'id'> = {
    jobId: job.id,
    fence: job.fence,
    projectId: job.projectId,
    runnerId: runner.id,
    managerId: claimant.managerId,
    instanceRunner: runner.type === 'instance' ? 1 : 0,
    node: core.node,
    door: claimant.door,
    requestId: claimant.requestId,
    status: 'offered',
    termMs: terms.heldForMs,
    written: 0,
    offeredAt: tx.now,
    acceptBy: tx.now + (terms.acceptWithinMs ?? 0),
    acceptedAt: null,
    expiresAt: null,
    endedAt: null,
    endReason: null,
    cancelRevision: 0,
    cancelMode: null,
    cancelAcked: 0,
    report: null,
    reportAt: null,
  }
  const leaseId = await insertLease(tx, lease)
  const count = runner.type === 'instance' ? await countInstanceJob(tx, job.projectId) : null
  const waitedS = job.queuedAt === null ? null : Math.max(0, Math.floor((tx.now - job.queuedAt) / 1000))
  const running = othersRunning(count)
  await record(core, tx, {
    kind: 'job.leased',
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobId: job.id,
    runnerId: runner.id,
    data: {
      fence: job.fence,
      door: claimant.door,
      manager: claimant.managerId,
      waited_ms: job.queuedAt === null ? null : tx.now - job.queuedAt,
      queue_size: queue.size,
      queue_depth: queue.depth,
      runner_type: runner.type,
      jobs_running: running,
      ...shardOf(runner),
    },
  })
  if (terms.acceptWithinMs === null) await acceptOffer(core, tx, { ...lease, id: leaseId }, job)
  if (isStream(claimant.door)) tx.afterCommit(() => measure(core, claimant, waitedS ?? 0, running))
  const handOut: HandOut = {
    token,
    timeoutS: timeout.seconds,
    runner: { id: runner.id, description: runner.description, tags: JSON.parse(runner.tags) },
    waitedS,
    running,
    queue,
    ...(job.idTokens === 0 ? {} : { idToken: await idTokenSigner(core, tx, job, lease) }),
    pipelineVariables: predefined,
  }
  return {
    leaseId,
    jobId: job.id,
    fence: job.fence,
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobName: job.name,
    timeoutS: timeout.seconds,
    acceptWithinMs: terms.acceptWithinMs,
    payload: stored ? spliceHandOut(stored, handOut) : buildHandOut(facts!, handOut),
  }
}

const shardTag = 'metrics_shard::'

/** For metrics: the shard of an instance runner, by the first of its tags that names one (gitlab lib/gitlab/ci/queue/metrics.rb). */
function shardOf({ type, tags }: Pick<Claimant['runner'], 'type' | 'tags'>): { shard?: string } {
  if (type !== 'instance' || !tags.includes(shardTag)) return {}
  const tag = (JSON.parse(tags) as string[]).sort().find((one) => one.startsWith(shardTag))
  return tag === undefined ? {} : { shard: tag.slice(shardTag.length) }
}

/** A job that is given away the moment it is queued: nobody else waited. */
const straight: QueueFigures = { size: 1, depth: 1 }

/** The figures that went with the job's present lease. */
async function figuresOf(tx: Tx, job: Job): Promise<QueueFigures> {
  const leased = await lastJobEvent(tx, job.id, 'job.leased')
  const { queue_size: size, queue_depth: depth } = JSON.parse(leased?.data ?? '{}')
  return { ...straight, ...defined({ size, depth }) }
}

async function openPayload(core: Core, tx: Tx, job: Job): Promise<Buffer> {
  const sealed = await findPayload(tx, job.id)
  if (!sealed) throw new SealError(new Error(`job ${job.id} has no payload`))
  return core.keys.open(sealed)
}

/** Counts the wait for those who are pushed to; one that polls counts by itself. */
function measure(core: Core, { runner, managerId }: Claimant, waitedS: number, running: string): void {
  const now = core.clock.now()
  const known = core.queueSli.labelsOf(managerId)
  if (known) {
    core.queueSli.observe(managerId, known, now, waitedS, running)
    return
  }
  findManagerById(core.store.read, managerId)
    .then((manager) => {
      const labels = { runner: String(runner.id), runner_name: runner.description, system_id: manager?.systemId ?? '' }
      core.queueSli.observe(managerId, labels, now, waitedS, running)
    })
    .catch((error) => core.log.warn({ err: error }, 'a wait could not be measured'))
}

/** The offer of an open lease once more, for a request that was repeated. Throws `SealError` as `offerJob` does. */
export async function repeatOffer(core: Core, tx: Tx, lease: Lease, job: Job, claimant: Claimant): Promise<Offer> {
  const stored = await openPayload(core, tx, job)
  const { runner } = claimant
  return {
    leaseId: lease.id,
    jobId: job.id,
    fence: lease.fence,
    projectId: job.projectId,
    pipelineId: job.pipelineId,
    jobName: job.name,
    timeoutS: job.timeoutS ?? 0,
    acceptWithinMs: lease.acceptBy === null ? null : Math.max(0, lease.acceptBy - tx.now),
    payload: spliceHandOut(stored, {
      token: jobTokenOf(core, job),
      timeoutS: job.timeoutS ?? 0,
      runner: { id: runner.id, description: runner.description, tags: JSON.parse(runner.tags) },
      waitedS: job.queuedAt === null ? null : Math.max(0, Math.floor((lease.offeredAt - job.queuedAt) / 1000)),
      queue: await figuresOf(tx, job),
      running: othersRunning(runner.type === 'instance' ? await instanceJobsOf(tx, job.projectId) : null),
      ...(job.idTokens === 0 ? {} : { idToken: await idTokenSigner(core, tx, job, lease) }),
      pipelineVariables: (await variablesOf(core, tx, job.pipelineId)).predefined,
    }),
  }
}

const hourMs = 3_600_000
/** A job that waits longer than a day is dropped. */
const longestWaitMs = 24 * hourMs

/**
 * The token of the lease that the job is being given. The server ends a job at the latest 15 minutes after its timeout, so
 * a token that lives an hour longer than the timeout outlives every job. One that was shown before the first lease is
 * kept, as long as it lives long enough.
 */
function tokenForLease(core: Core, job: Job, now: number): string {
  const needed = now + (job.timeoutS ?? 0) * 1000 + hourMs
  const shown = job.fence === 1 && job.tokenIssuedAt !== null && (job.tokenExpiresAt ?? 0) >= needed
  if (!shown) {
    job.tokenIssuedAt = now
    job.tokenExpiresAt = needed
  }
  return jobTokenOf(core, job)
}

/** The times of a token that is shown before the job's first lease. */
export function earlyTokenTimes(now: number, timeoutS: number): { tokenIssuedAt: number; tokenExpiresAt: number } {
  return { tokenIssuedAt: now, tokenExpiresAt: now + longestWaitMs + timeoutS * 1000 + hourMs }
}

/** The job's token for its present hand-out, or before the first one for the one to come. */
export function jobTokenOf(core: Core, job: Job): string {
  const claims: JobTokenClaims = {
    jobId: job.id,
    projectId: job.projectId,
    fence: Math.max(1, job.fence),
    scopes: jobTokenScopes,
    node: core.node,
    ...(core.settings.cell === null ? {} : { cell: core.settings.cell }),
    issuedAt: job.tokenIssuedAt!,
    expiresAt: job.tokenExpiresAt!,
  }
  return issueJobToken(core.keys, claims)
}

const exactBelow = 5

/**
 * How many other jobs of the project instance runners have, as the runner's metrics want it told. `count`: with this one;
 * null for other runners.
 */
function othersRunning(count: number | null): string {
  if (count === null) return '+Inf'
  const others = Math.max(0, count - 1)
  return others < exactBelow ? String(others) : `${exactBelow}+`
}
