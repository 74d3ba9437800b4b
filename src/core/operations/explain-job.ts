/** Why is it waiting? What keeps a job where it is, and who could move it. */
import { reasonOf } from '../admission.js'
import type { Core } from '../core.js'
import { type FailureReason, factsOf } from '../failure.js'
import type { Job } from '../job.js'
import { is } from '../lifecycle/job-machine.js'
import { demandOf } from '../scheduler/demand.js'
import type { Demand } from '../scheduler/match.js'
import { findDownstream } from '../store/downstream.js'
import { lastJobEvent } from '../store/events.js'
import { findJob, getDefinition, listCurrentJobs, listNeeds } from '../store/jobs.js'
import { findLastRefusal } from '../store/lease-refusals.js'
import { findOpenLease } from '../store/leases.js'
import { findPayload } from '../store/payloads.js'
import { getPipeline } from '../store/pipelines.js'
import { meanWork, placeInQueue } from '../store/queue-place.js'
import { findResourceGroup, listUpcoming } from '../store/resource-groups.js'
import { findRunner } from '../store/runners.js'
import { SealError } from '../tokens/keys.js'
import { type JudgedRunner, judgeRunners, summaryFor } from './judge-runners.js'

/** What a job waits for; `nothing`: it runs, or is over. */
export type Waiting =
  | 'nothing'
  | 'runner'
  | 'acceptance'
  | 'earlier_jobs'
  | 'first_processing'
  | 'person'
  | 'time'
  | 'resource'
  | 'downstream'
  | 'preparation'
  | 'callback'
  | 'admission'

/** Why a job is where it is, as our own API tells it. */
export interface Explanation {
  jobId: number
  name: string
  status: string
  waitsFor: Waiting
  /** One sentence for people. */
  summary: string
  /** Milliseconds since 1970. */
  since: number
  /** What the job asks of a runner; absent unless it waits for one. */
  demand?: Demand
  /** 1: next among those that ask the same of the project's runners. */
  place?: number
  /** When it is expected to start, in milliseconds since 1970; null: nobody can tell. */
  expectedStart: number | null
  /** Runners, those first that lack least. */
  runners?: JudgedRunner[]
  /** Jobs that must end first. */
  blockedBy?: { id: number; name: string; status: string }[]
  /** Why the last offer of this job came to nothing. */
  lastRefusal?: { at: number; reason: string; runnerId: number }
  /** What the person who starts it is asked. */
  confirmation?: string
}

/** Explains where the job stands. Nothing is changed. */
export async function explainJob(core: Core, job: Job): Promise<Explanation> {
  const base = {
    jobId: job.id,
    name: job.name,
    status: job.status,
    since: job.queuedAt ?? job.updatedAt,
    expectedStart: null,
  }
  const found = await explain(core, job)
  return { ...base, ...found }
}

type Found = Pick<Explanation, 'waitsFor' | 'summary'> & Partial<Explanation>

async function explain(core: Core, job: Job): Promise<Found> {
  switch (job.status) {
    case 'created':
      return explainCreated(core, job)
    case 'pending':
      return job.kind === 'build' ? explainPending(core, job) : explainBridge(core, job)
    case 'waiting_for_resource':
      return explainResource(core, job)
    case 'manual':
      return explainManual(core, job)
    case 'scheduled':
      return {
        waitsFor: 'time',
        summary: 'It is delayed until its time has come.',
        expectedStart: job.scheduledAt,
        since: job.updatedAt,
      }
    case 'waiting_for_callback':
      return {
        waitsFor: 'callback',
        summary: 'An outside system holds it, and has not called back yet.',
        since: job.updatedAt,
      }
    case 'preparing':
      return { waitsFor: 'preparation', summary: 'The server prepares what the job needs.' }
    case 'running':
      if (job.kind === 'bridge') return explainBridge(core, job)
      return { waitsFor: 'nothing', summary: 'It runs.', since: job.startedAt ?? job.updatedAt }
    case 'canceling':
      return { waitsFor: 'nothing', summary: 'It is being canceled: its runner is still finishing.' }
    default:
      return { waitsFor: 'nothing', summary: endedSummary(job), since: job.finishedAt ?? job.updatedAt }
  }
}

function endedSummary(job: Job): string {
  const reason = job.failureReason as FailureReason | null
  if (reason === null) return `It has ended: ${job.status}.`
  return `It has ended: ${job.status} (${reason}). ${job.failureMessage ?? factsOf(reason).sentence}`
}

/** Whether what its runner is to get can be opened. */
async function isReadable(core: Core, job: Job): Promise<boolean> {
  const sealed = await findPayload(core.store.read, job.id)
  try {
    if (sealed) core.keys.open(sealed)
    return sealed !== undefined
  } catch (error) {
    if (error instanceof SealError) return false
    throw error
  }
}

async function explainCreated(core: Core, job: Job): Promise<Found> {
  const { read } = core.store
  const pipeline = await getPipeline(read, job.pipelineId)
  if (pipeline.status === 'created' && core.isPaused('initial_pipeline_process')) {
    return {
      waitsFor: 'first_processing',
      summary: 'The task initial_pipeline_process is paused: new pipelines stay as they are.',
    }
  }
  const jobs = await listCurrentJobs(read, job.pipelineId)
  const needed = new Set((await listNeeds(read, job.id)).map((need) => need.name))
  const before = jobs.filter((one) =>
    job.scheduling === 'dag' ? needed.has(one.name) : one.stagePosition < job.stagePosition,
  )
  const blockedBy = before
    .filter((one) => !is('completed', one.status) && !(one.status === 'manual' && one.allowFailure === 1))
    .map(({ id, name, status }) => ({ id, name, status }))
  const names = blockedBy.map((one) => `${one.name} (${one.status})`)
  const more = names.length > 5 ? ` and ${names.length - 5} more` : ''
  return {
    waitsFor: 'earlier_jobs',
    summary: `It comes after ${names.slice(0, 5).join(', ') || 'jobs that have just ended'}${more}.`,
    blockedBy,
    since: job.createdAt,
  }
}

async function explainPending(core: Core, job: Job): Promise<Found> {
  const { read } = core.store
  const lease = await findOpenLease(read, job.id)
  const refusal = await findLastRefusal(read, job.id)
  const refused = refusal && { lastRefusal: refusal }
  if (lease) {
    const runner = await findRunner(read, lease.runnerId)
    return {
      waitsFor: 'acceptance',
      summary: `It was offered to runner ${lease.runnerId} (${runner?.description ?? 'deleted'}), which has not answered yet.`,
      ...refused,
    }
  }
  const pipeline = await getPipeline(read, job.pipelineId)
  const demand = demandOf(await getDefinition(read, job.definitionId), pipeline.protected === 1, core.settings)
  const runners = await judgeRunners(core, job.projectId, demand)
  const fitting = runners.filter((runner) => runner.fits)
  const place = await placeInQueue(read, job)
  const held = await heldBy(core, job)
  if (held)
    return { waitsFor: 'admission', summary: held, demand, place, runners: runners.slice(0, mostShown), ...refused }
  return {
    waitsFor: 'runner',
    summary: (await isReadable(core, job)) ? summaryFor(runners, place) : unreadableSummary,
    demand,
    place,
    expectedStart: await expectation(core, job, place, fitting.length),
    runners: runners.slice(0, mostShown),
    ...refused,
  }
}

/** Which admission rule holds the job, and why; also one that another node, or this one before it was started, has asked. */
async function heldBy(core: Core, job: Job): Promise<string | undefined> {
  const here = core.asides.holdOf(job.id)
  if (here) return holdSentence(here.decision.rule, reasonOf(here.decision), here.until - core.clock.now())
  if (!core.asides.rules) return undefined
  const last = await lastJobEvent(core.store.read, job.id, 'job.admission')
  const { rule, verdict, reason, seconds } = last ? JSON.parse(last.data) : {}
  if (!last || verdict !== 'hold') return undefined
  return holdSentence(String(rule), String(reason), Math.max(0, last.at + Number(seconds) * 1000 - core.clock.now()))
}

function holdSentence(rule: string, reason: string, leftMs: number): string {
  return `The admission rule ${rule} holds it: ${reason} It is asked again in ${Math.ceil(leftMs / 1000)} s.`
}

const unreadableSummary =
  'What a runner is to get for it cannot be opened: it is damaged, or was sealed with another key file. The job fails when a runner asks for it.'

const mostShown = 20

/** From how long jobs of the project take; only a guess. */
async function expectation(core: Core, job: Job, place: number, fitting: number): Promise<number | null> {
  if (fitting === 0) return null
  const meanMs = await meanWork(core.store.read, job.projectId)
  return meanMs === undefined ? null : core.clock.now() + Math.round((place * meanMs) / fitting)
}

async function explainResource(core: Core, job: Job): Promise<Found> {
  const { read } = core.store
  const group = await findResourceGroup(read, job.projectId, job.resourceKey ?? '')
  if (!group) return { waitsFor: 'resource', summary: 'It waits for its resource.' }
  const upcoming = await listUpcoming(read, group, 1000)
  const ahead = upcoming.findIndex((one) => one.id === job.id)
  const holder = group.holderJobId === null ? 'nobody' : `job ${group.holderJobId}`
  return {
    waitsFor: 'resource',
    summary: `The resource ${group.key} belongs to ${holder}; ${Math.max(0, ahead)} jobs come before this one (${group.processMode}).`,
    ...(group.holderJobId === null ? {} : { blockedBy: await named(core, group.holderJobId) }),
    since: job.updatedAt,
  }
}

async function named(core: Core, jobId: number): Promise<{ id: number; name: string; status: string }[]> {
  const job = await findJob(core.store.read, jobId)
  return job ? [{ id: job.id, name: job.name, status: job.status }] : []
}

async function explainManual(core: Core, job: Job): Promise<Found> {
  const { manualConfirmation } = await getDefinition(core.store.read, job.definitionId)
  return {
    waitsFor: 'person',
    summary: `It waits for somebody to start it: signalbox job play ${job.id}`,
    since: job.updatedAt,
    ...(manualConfirmation === undefined ? {} : { confirmation: manualConfirmation }),
  }
}

async function explainBridge(core: Core, job: Job): Promise<Found> {
  const downstream = await findDownstream(core.store.read, job.id)
  return {
    waitsFor: 'downstream',
    summary: downstream
      ? `It follows pipeline ${downstream.id}, which is ${downstream.status}.`
      : 'Its pipeline is being made.',
    since: job.startedAt ?? job.updatedAt,
  }
}
