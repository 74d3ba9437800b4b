/** Takes in the log bytes of one stream, and acknowledges them when they are durable. */
import { SignalboxError } from '../core/errors.js'
import { acceptTrace } from '../core/operations/append-trace.js'
import type { LogChunk } from '../gen/signalbox/runner/v1/runner.js'
import { keyOf, maxLogChunkBytes, toErrorCode, toLeaseVerdict } from './convert.js'
import type { Stream } from './stream.js'

/** After a failed write the runner is told where to go on, but not at once. */
const retryLogMs = 1000

export class LogIntake {
  readonly #stream: Stream
  readonly #windowBytes: number
  #acks: Map<string, { jobId: number; fence: number; length: number }> | undefined

  /** `windowBytes`: bytes of a job that the runner may send before they are acknowledged. */
  constructor(stream: Stream, windowBytes: number) {
    this.#stream = stream
    this.#windowBytes = windowBytes
  }

  /** Takes in a chunk; resolves when the next may follow. Throws `invalid` for one that is too large. */
  async take(chunk: LogChunk): Promise<void> {
    if (chunk.data.length > maxLogChunkBytes) {
      throw new SignalboxError('invalid', `a log chunk may have ${maxLogChunkBytes} bytes`)
    }
    const { jobId, fence, offset } = chunk
    const ref = { jobId, fence }
    try {
      const { durable } = await acceptTrace(this.#stream.core, {
        ...ref,
        offset,
        data: chunk.data as Buffer,
        overlap: 'skip',
        managerId: this.#stream.managerId,
      })
      durable.then((length) => this.#acknowledge(ref, length)).catch((error) => this.#failed(ref, error))
    } catch (thrown) {
      this.#failed(ref, thrown)
    }
  }

  #failed(ref: { jobId: number; fence: number }, thrown: unknown): void {
    const error = SignalboxError.from(thrown)
    switch (error.code) {
      case 'range_mismatch':
        this.#sendAck(ref, Number(error.details.length))
        return
      case 'fenced':
      case 'too_large':
        this.#stream.countFenced()
        this.#stream.send({ $case: 'leaseState', value: { leases: [toLeaseVerdict(ref, null, error.code)] } })
        return
      default:
        if (error.code === 'internal')
          this.#stream.core.log.error({ err: thrown, job: ref.jobId }, 'taking in a log failed')
        this.#stream.send({
          $case: 'error',
          value: { code: toErrorCode(error.code), message: error.message, relatedSeq: 0, fatal: false, lease: ref },
        })
        this.#stream.core.clock.after(retryLogMs, () => {
          const session = this.#stream.core.traces.session(ref.jobId, ref.fence)
          if (session) this.#sendAck(ref, session.committed.length)
        })
    }
  }

  /** One acknowledgement for all chunks that one commit has made durable. */
  #acknowledge(ref: { jobId: number; fence: number }, length: number): void {
    this.#acks ??= new Map()
    if (this.#acks.size === 0) {
      queueMicrotask(() => {
        const acks = this.#acks
        this.#acks = undefined
        for (const ack of acks?.values() ?? []) this.#sendAck(ack, ack.length)
      })
    }
    this.#acks.set(keyOf(ref), { ...ref, length })
  }

  #sendAck(ref: { jobId: number; fence: number }, length: number): void {
    this.#stream.send({
      $case: 'logAck',
      value: {
        jobId: ref.jobId,
        fence: ref.fence,
        durableOffset: length,
        windowBytes: this.#windowBytes,
      },
    })
  }
}
