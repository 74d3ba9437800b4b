/**
 * What a node remembers between transactions, besides what its parts do (`core.ts`): all of it in one place, made with the
 * core (`make-core.ts`) and gone with it. Each entry says what it holds, how much at the most, and who clears it.
 *
 * Two rules make it safe. Losing any of it costs a look at the store or a little time, never a fact. And nothing that a
 * transaction body has read or made comes here before `afterCommit`: the body may be rolled back, and then SQLite gives the
 * ids that it used to other rows. What a body wants to remember for itself hangs on its `tx` (`tx.once`).
 */
import type { Gauge } from './gauge.js'
import type { PipelineVariables } from './pipeline.js'
import { RecentMap } from './recent-map.js'
import type { ManagerInfo, Runner, RunnerManager } from './runner.js'
import type { EventTail } from './store/event-tail.js'
import type { IdTokenKey } from './tokens/id-token.js'
import { Passwords } from './tokens/passwords.js'

export interface Memory {
  /**
   * By pipeline: its variables, opened (`steps/pipeline-context.ts`). They never change. 1000 pipelines: those that were
   * not asked for lately go.
   */
  readonly pipelineVariables: RecentMap<number, PipelineVariables>
  /**
   * By project and ref: the commit whose pipeline has made older ones redundant last (`cancel-redundant-pipelines.ts`).
   * 10 000 refs: those that were not asked for lately go.
   */
  readonly redundantFor: RecentMap<string, string>
  /**
   * By token and system id: a manager that polls, as it was when its stamp was read (`greet-poller.ts`); the stamp is
   * compared at each poll. 50 000 managers: those that have not polled lately go.
   */
  readonly pollers: RecentMap<string, KnownPoller>
  /**
   * By manager: when its last contact on record was looked at, in milliseconds since 1970 (`note-contact.ts`). 10 000
   * managers: those that were not asked for lately go.
   */
  readonly contactLooks: RecentMap<number, number>
  /** By train: the run of this node that is under way (`run-merge-train.ts`). It takes itself out at its end. */
  readonly trainRuns: Map<string, TrainRun>
  /** Subscribed runs that this node is at work on (`subscribe-project.ts`). Each is taken out at its end. */
  readonly subscribedRuns: Set<number>
  /** By task that works through the events: how far they are settled (`follow-events.ts`). One a task, never cleared. */
  readonly eventTails: Map<string, EventTail>
  /** By job: ends the wish for frequent updates of its log, 10 s after somebody has read it, when it takes itself out. */
  readonly logViewers: Map<number, () => void>
  /** The last reading of the figures (`gauges.ts`). The next one after a second takes its place; one that fails is cleared. */
  gauges: { at: number; reading: Promise<Gauge[]> } | undefined
  /** The key that signs ID tokens (`steps/id-token-key.ts`), as long as the node lives. */
  idTokenKey: IdTokenKey | undefined
  /** Passwords that are hashed now, and those that wait for it: 50 at the most. Each goes at its end. */
  readonly passwords: Passwords
}

export interface KnownPoller {
  runner: Runner
  manager: RunnerManager
  /** What the store says of both, in short. */
  stamp: string
  /** What the manager said of itself. */
  info: ManagerInfo
}

export interface TrainRun {
  /** Something has changed since it looked. */
  again: boolean
  /** How many requests it has merged, at its end. */
  merged: Promise<number>
}

export function makeMemory(): Memory {
  return {
    pipelineVariables: new RecentMap(1000),
    redundantFor: new RecentMap(10_000),
    pollers: new RecentMap(50_000),
    contactLooks: new RecentMap(10_000),
    trainRuns: new Map(),
    subscribedRuns: new Set(),
    eventTails: new Map(),
    logViewers: new Map(),
    gauges: undefined,
    idTokenKey: undefined,
    passwords: new Passwords(),
  }
}
