/**
 * What must follow a commit, in a transaction of its own: named here, done by the operations of `follow-up-table.ts`.
 */
import { asFault } from './as-fault.js'
import type { Log } from './log.js'
import type { TrainKey } from './merge-train.js'
import type { Removal } from './store/removals.js'

/** Each follow-up with what it is told, and the background task that does what was left. */
export interface FollowUpInputs {
  /** A job is `preparing`. Left to `prepare_jobs`. */
  prepare_job: { jobId: number }
  /** A trigger job's turn has come. Left to `settle_bridges`. */
  trigger_downstream: { jobId: number }
  /** The pipeline of a trigger job has changed its status. Left to `settle_bridges`. */
  follow_downstream: { jobId: number }
  /** A pipeline that trigger jobs of other projects mirror has changed its status. Left to `settle_bridges`. */
  follow_mirrors: { pipelineId: number }
  /** A child pipeline ends with what made it; then the trigger job follows it. Left to `settle_bridges`. */
  cancel_child: { pipelineId: number; userId?: number | null; jobId?: number }
  /** A job has failed, and classifiers of the operator's own are asked. Left out if the process stops meanwhile. */
  amend_verdict: { jobId: number }
  /** A job that has work after its end has ended. Left to `finish_work`. */
  finish_work: { jobId: number }
  /** A resource of a project may be free. Left to `assign_resources`. */
  assign_resource: { projectId: number; key: string }
  /** A merge train has changed. Left to `run_merge_trains`. */
  run_merge_train: TrainKey
  /** The pipeline of a merge train's car has come to a stop. Left to `run_merge_trains`. */
  follow_car: { id: number; projectId: number }
  /** The pipeline of a tag has succeeded, and other projects have asked to run then. Left to `run_subscribers`. */
  run_subscribers: { ids: readonly number[] }
  /** Bytes and rows that a deletion has left. Left to `remove_deleted`. */
  remove_deleted: { removals: readonly Removal[] }
}

export type FollowUpTable = { [Name in keyof FollowUpInputs]: (input: FollowUpInputs[Name]) => Promise<unknown> }

export class FollowUps {
  readonly #table: FollowUpTable
  readonly #log: Log

  constructor(table: FollowUpTable, log: Log) {
    this.#table = table
    this.#log = log
  }

  /** Has it done in the background, now. Never throws: what goes wrong is logged, and the task does it again. */
  soon<Name extends keyof FollowUpInputs>(name: Name, input: FollowUpInputs[Name]): void {
    this.#run(name, input).catch(asFault)
  }

  async #run<Name extends keyof FollowUpInputs>(name: Name, input: FollowUpInputs[Name]): Promise<void> {
    try {
      await this.#table[name](input)
    } catch (error) {
      this.#log.error({ err: error, followUp: name, ...input }, 'what follows a commit failed, and is left to its task')
    }
  }
}
