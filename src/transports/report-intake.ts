/** Takes in the final reports of one stream, and answers each once its job has ended: one may wait for its log until then. */
import { SignalboxError } from '../core/errors.js'
import { finishJob } from '../core/operations/finish-job.js'
import { StateOutcome, type StateUpdate } from '../gen/signalbox/runner/v1/runner.js'
import { fromStateUpdate, keyOf } from './convert.js'
import type { Stream } from './stream.js'

type LeaseKey = { jobId: number; fence: number }

export class ReportIntake {
  readonly #stream: Stream
  readonly #answered: () => void
  readonly #waiting = new Map<string, StateUpdate>()

  /** `answered` is called after each answer. */
  constructor(stream: Stream, answered: () => void) {
    this.#stream = stream
    this.#answered = answered
  }

  /** Throws what `finishJob` throws, except `fenced`, which is an answer. */
  async take(update: StateUpdate): Promise<void> {
    const key = keyOf(update)
    this.#waiting.set(key, update)
    try {
      const { outcome, jobStatus } = await finishJob(this.#stream.core, {
        jobId: update.jobId,
        fence: update.fence,
        managerId: this.#stream.managerId,
        report: fromStateUpdate(update),
      })
      if (outcome === 'waiting' || !this.#waiting.delete(key)) return
      const answer = outcome === 'applied' ? StateOutcome.STATE_OUTCOME_APPLIED : StateOutcome.STATE_OUTCOME_DUPLICATE
      this.#answer(update, answer, jobStatus)
    } catch (thrown) {
      this.#waiting.delete(key)
      const error = SignalboxError.from(thrown)
      if (error.code !== 'fenced') throw thrown
      this.#stream.countFenced()
      const jobStatus = (error.details.jobStatus as string | undefined) ?? ''
      this.#answer(update, StateOutcome.STATE_OUTCOME_FENCED, jobStatus)
    }
  }

  /** The job has ended: a report that waited for that is answered. */
  finished(lease: LeaseKey, jobStatus: string): void {
    const update = this.#waiting.get(keyOf(lease))
    if (!update) return
    this.#waiting.delete(keyOf(lease))
    this.#answer(update, StateOutcome.STATE_OUTCOME_APPLIED, jobStatus)
  }

  /** The lease has ended without its report. */
  forget(lease: LeaseKey): void {
    this.#waiting.delete(keyOf(lease))
  }

  #answer({ jobId, fence, revision }: StateUpdate, outcome: StateOutcome, jobStatus: string): void {
    this.#stream.send({ $case: 'stateAck', value: { jobId, fence, revision, outcome, jobStatus } })
    this.#answered()
  }
}
