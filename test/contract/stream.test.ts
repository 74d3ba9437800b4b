import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { cancelJob } from '../../src/core/operations/cancel-job.js'
import { createRunner } from '../../src/core/operations/create-runner.js'
import { deleteRunner } from '../../src/core/operations/delete-runner.js'
import { updateRunner } from '../../src/core/operations/update-runner.js'
import {
  CancelMode,
  CancelPhase,
  ErrorCode,
  GoodbyeCode,
  JobState,
  StateOutcome,
  Verdict,
} from '../../src/gen/signalbox/runner/v1/runner.js'
import { type CarrierName, carriers, hello, StreamBox, type TestStream } from './stream-client.js'

const hi = { hi: { script: 'echo hi' } }

for (const carrier of carriers) describe(`a stream over ${carrier}`, () => contract(carrier))

function contract(carrier: CarrierName): void {
  const runnerOf = async (box: StreamBox, more = {}) =>
    (await createRunner(box.box.core, { type: 'instance', ...more })).token

  /** A stream that has been welcomed. */
  const attached = async (box: StreamBox, token: string, more = {}): Promise<TestStream> => {
    const stream = await box.connect(carrier, token)
    stream.send('hello', hello(more))
    await stream.next('welcome')
    return stream
  }

  /** A stream that holds a job. */
  const holding = async (box: StreamBox, config: object = hi) => {
    const token = await runnerOf(box)
    const stream = await attached(box, token)
    stream.send('want', { credits: 1 })
    const { pipeline, project } = await box.box.run(config)
    const offer = await stream.next('offer')
    stream.send('accept', offer)
    const { leases } = await stream.next('leaseState')
    expect(leases).toMatchObject([{ jobId: offer.jobId, verdict: Verdict.VERDICT_HELD, expiresInMs: 60_000 }])
    const ref = { jobId: offer.jobId, fence: offer.fence }
    return { token, stream, pipeline, project, offer, ref }
  }

  const report = (ref: { jobId: number; fence: number }, log: Buffer, more = {}) => ({
    ...ref,
    revision: 1,
    state: JobState.JOB_STATE_SUCCESS,
    failureReason: '',
    message: '',
    logLength: log.length,
    logCrc32: crc32(log),
    ...more,
  })

  it('answers Hello with Welcome and nothing before it', async () => {
    await using box = await StreamBox.start()
    const stream = await box.connect(carrier, await runnerOf(box))
    stream.send('hello', hello())
    expect(await stream.next('welcome')).toMatchObject({
      protocol: 1,
      epoch: 1,
      node: 'test',
      leaseMs: 60_000,
      renewEveryMs: 20_000,
      maxLogChunkBytes: 65_536,
      httpUrl: 'http://box.test',
      verdicts: [],
    })
    expect(stream.received).toHaveLength(1)
    expect(stream.received[0]).toMatchObject({ seq: 1 })
  })

  it('takes the token from Hello where the carrier brings none', async () => {
    await using box = await StreamBox.start()
    const stream = await box.connect(carrier, '')
    stream.send('hello', hello({ token: await runnerOf(box) }))
    expect(await stream.next('welcome')).toMatchObject({ protocol: 1 })
  })

  it.each([
    ['an unknown token', {}, 'glrt-t1_nobody', GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED],
    ['no common version', { protocolMin: 2, protocolMax: 3 }, undefined, GoodbyeCode.GOODBYE_CODE_PROTOCOL],
    ['control characters in a name', { name: 'a\nb' }, undefined, GoodbyeCode.GOODBYE_CODE_PROTOCOL],
  ])('says goodbye to %s', async (what, more, token, code) => {
    await using box = await StreamBox.start()
    const stream = await box.connect(carrier, token ?? (await runnerOf(box)))
    stream.send('hello', hello(more))
    const refusals: Record<string, ErrorCode> = {
      'an unknown token': ErrorCode.ERROR_CODE_UNAUTHENTICATED,
      'no common version': ErrorCode.ERROR_CODE_VERSION,
    }
    const refused = refusals[what] ?? ErrorCode.ERROR_CODE_INVALID
    expect(await stream.next('error')).toMatchObject({ fatal: true, relatedSeq: 1, code: refused })
    expect(await stream.next('goodbye')).toMatchObject({ code })
    await stream.ended
  })

  it.each(['before', 'second'])('refuses a message %s hello', async (which) => {
    await using box = await StreamBox.start()
    const token = await runnerOf(box)
    const stream = which === 'before' ? await box.connect(carrier, token) : await attached(box, token)
    if (which === 'before') stream.send('want', { credits: 1 })
    else stream.send('hello', hello())
    expect(await stream.next('error')).toMatchObject({ code: ErrorCode.ERROR_CODE_OUT_OF_ORDER, fatal: true })
    expect(await stream.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_PROTOCOL })
    await stream.ended
  })

  it('survives bytes that are no message, and serves the next stream', async () => {
    await using box = await StreamBox.start()
    const token = await runnerOf(box)
    const stream = await box.connect(carrier, token)
    const nonsense = Buffer.from([0xff, 0xff, 0xff, 0x07, 0x99])
    stream.sendRaw(nonsense, { seq: 'x' as never, ack: 0, body: { $case: 'ping', value: { nonce: 'y' as never } } })
    expect(await stream.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_PROTOCOL })
    await stream.ended
    await attached(box, token)
  })

  it('answers a body it does not know with unsupported and goes on', async () => {
    await using box = await StreamBox.start()
    const stream = await attached(box, await runnerOf(box))
    stream.sendRaw(Buffer.from([0x08, 0x02]), { seq: 2, ack: 0 })
    expect(await stream.next('error')).toMatchObject({ code: ErrorCode.ERROR_CODE_UNSUPPORTED, fatal: false })
    await stream.settled()
  })

  it('leads a job from offer to final state, byte for byte', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, offer, ref } = await holding(box)
    expect(offer).toMatchObject({ jobName: 'hi', acceptWithinMs: 10_000, timeoutMs: 3_600_000 })
    expect(JSON.parse(Buffer.from(offer.payload).toString())).toMatchObject({ id: offer.jobId, steps: [{}] })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'running' })
    stream.send('started', { ...ref, facts: { executor: 'shell' } })
    const log = Buffer.from('hi\nthere\n')
    stream.send('logChunk', { ...ref, offset: 0, data: log.subarray(0, 4) })
    stream.send('logChunk', { ...ref, offset: 4, data: log.subarray(4) })
    while ((await stream.next('logAck')).durableOffset < log.length);
    stream.send('stateUpdate', report(ref, log))
    expect(await stream.next('stateAck')).toMatchObject({
      revision: 1,
      outcome: StateOutcome.STATE_OUTCOME_APPLIED,
      jobStatus: 'success',
    })
    expect(await box.box.pipelineStatus(pipeline)).toBe('success')
    expect(await box.box.core.traces.read(ref.jobId, 0, log.length)).toEqual(log)
    const trace = await box.box.core.store.read.db.selectFrom('traces').selectAll().executeTakeFirstOrThrow()
    expect(trace).toMatchObject({ length: log.length, crc32: crc32(log), mismatch: 0, incomplete: 0 })
  })

  it('never offers more than the credits, and a repeated Want leaks none', async () => {
    await using box = await StreamBox.start()
    const stream = await attached(box, await runnerOf(box))
    stream.send('want', { credits: 2 })
    stream.send('want', { credits: 2 })
    await stream.settled()
    await box.box.run({ a: { script: 'x' }, b: { script: 'x' }, c: { script: 'x' } })
    await stream.next('offer')
    await stream.next('offer')
    await stream.settled()
    expect(stream.count('offer')).toBe(2)
    // A Want that was written before the offers were seen still counts them.
    stream.ack = 1
    stream.send('want', { credits: 2 })
    await stream.settled()
    expect(stream.count('offer')).toBe(2)
    // One written after them means one more.
    stream.ack = undefined
    stream.send('want', { credits: 1 })
    expect(await stream.next('offer')).toMatchObject({ jobName: 'c' })
  })

  it('gives a rejected job to somebody else and passes over the one who rejected it', async () => {
    await using box = await StreamBox.start()
    const token = await runnerOf(box)
    const first = await attached(box, token)
    first.send('want', { credits: 1 })
    await first.settled()
    await box.box.run(hi)
    const offer = await first.next('offer')
    first.send('reject', { ...offer, reason: 'no_disk', message: '' })
    first.send('want', { credits: 1 })
    await first.settled()
    await box.box.core.dispatcher.sweep()
    await first.settled()
    expect(first.count('offer')).toBe(1)
    const second = await attached(box, token, { systemId: 's_another00000' })
    second.send('want', { credits: 1 })
    expect(await second.next('offer')).toMatchObject({ jobId: offer.jobId, fence: 2 })
  })

  it('asks a runner that had no place again after a second, however often that was so', async () => {
    await using box = await StreamBox.start()
    const stream = await attached(box, await runnerOf(box))
    stream.send('want', { credits: 1 })
    await stream.settled()
    const { pipeline } = await box.box.run(hi)
    for (let fence = 1; fence <= 7; fence++) {
      const offer = await stream.next('offer')
      expect(offer.fence).toBe(fence)
      stream.send('reject', { ...offer, reason: 'no_credit', message: '' })
      stream.send('want', { credits: 1 })
      await stream.settled()
      await box.box.core.dispatcher.sweep()
      await stream.settled()
      expect(stream.count('offer')).toBe(fence)
      box.box.clock.advance(1_001)
      await box.box.core.dispatcher.sweep()
    }
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'pending' })
  })

  it('revokes an offer that nobody accepted, and abandons a late acceptance', async () => {
    await using box = await StreamBox.start()
    const stream = await attached(box, await runnerOf(box))
    stream.send('want', { credits: 1 })
    await stream.settled()
    const { pipeline } = await box.box.run(hi)
    const offer = await stream.next('offer')
    box.box.clock.advance(10_001)
    await box.box.tasks.run('expire_leases')
    expect(await stream.next('offerRevoked')).toMatchObject({ jobId: offer.jobId, fence: 1, reason: 'expired' })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'pending' })
    stream.send('accept', offer)
    expect(await stream.next('leaseState')).toMatchObject({
      leases: [{ jobId: offer.jobId, fence: 1, verdict: Verdict.VERDICT_ABANDON, reason: 'fenced' }],
    })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'pending' })
  })

  it('keeps the lease over a broken link and goes on at the durable offset', async () => {
    await using box = await StreamBox.start()
    const { token, stream, pipeline, ref } = await holding(box)
    stream.send('logChunk', { ...ref, offset: 0, data: Buffer.from('one\n') })
    expect(await stream.next('logAck')).toMatchObject({ durableOffset: 4 })
    stream.cut()
    await stream.ended
    const again = await box.connect(carrier, token)
    again.send('hello', hello({ running: [{ ...ref, finished: false }] }))
    expect(await again.next('welcome')).toMatchObject({
      verdicts: [{ ...ref, verdict: Verdict.VERDICT_HELD, logOffset: 4, expiresInMs: 60_000 }],
    })
    // What was sent again is skipped, the rest is kept.
    again.send('logChunk', { ...ref, offset: 0, data: Buffer.from('one\ntwo\n') })
    expect(await again.next('logAck')).toMatchObject({ durableOffset: 8 })
    again.send('stateUpdate', report(ref, Buffer.from('one\ntwo\n')))
    expect(await again.next('stateAck')).toMatchObject({ outcome: StateOutcome.STATE_OUTCOME_APPLIED })
    expect(await box.box.pipelineStatus(pipeline)).toBe('success')
  })

  it('closes the older stream of a manager when a newer one comes', async () => {
    await using box = await StreamBox.start()
    const token = await runnerOf(box)
    const older = await attached(box, token)
    const newer = await box.connect(carrier, token)
    newer.send('hello', hello())
    expect(await newer.next('welcome')).toMatchObject({ epoch: 2 })
    expect(await older.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_SUPERSEDED })
    await older.ended
  })

  it('ends the job of a runner that was restarted and does not list it', async () => {
    await using box = await StreamBox.start()
    const { token, stream, pipeline } = await holding(box)
    stream.cut()
    await attached(box, token, { bootId: 'boot-2' })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'failed' })
    const job = await box.box.core.store.read.db.selectFrom('jobs').selectAll().executeTakeFirstOrThrow()
    expect(job).toMatchObject({ failure_reason: 'runner_system_failure', failure_class: 'runner_lost' })
  })

  it('gives the same process a renewal period to mention a job before it counts as lost', async () => {
    await using box = await StreamBox.start()
    const { token, stream, pipeline, ref } = await holding(box)
    stream.cut()
    const again = await attached(box, token)
    box.box.clock.advance(19_000)
    again.send('leaseRenew', { leases: [ref] })
    expect(await again.next('leaseState')).toMatchObject({ leases: [{ verdict: Verdict.VERDICT_HELD }] })
    box.box.clock.advance(5000)
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'running' })
    again.cut()
    const third = await attached(box, token)
    box.box.clock.advance(21_000)
    expect(await third.next('leaseState')).toMatchObject({ leases: [{ ...ref, verdict: Verdict.VERDICT_ABANDON }] })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'failed' })
  })

  it('lets nobody write under the lease of another', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, ref } = await holding(box)
    stream.send('logChunk', { ...ref, offset: 0, data: Buffer.from('mine\n') })
    await stream.next('logAck')
    const other = await attached(box, await runnerOf(box), { systemId: 's_intruder00000' })
    const abandon = { leases: [{ ...ref, verdict: Verdict.VERDICT_ABANDON }] }
    other.send('logChunk', { ...ref, offset: 5, data: Buffer.from('yours\n') })
    expect(await other.next('leaseState')).toMatchObject(abandon)
    other.send('accept', { ...ref, offerId: '' })
    expect(await other.next('leaseState')).toMatchObject(abandon)
    other.send('started', { ...ref, facts: {} })
    expect(await other.next('error')).toMatchObject({ code: ErrorCode.ERROR_CODE_FENCED, lease: ref })
    other.send('leaseRenew', { leases: [ref] })
    expect(await other.next('leaseState')).toMatchObject(abandon)
    other.send('stateUpdate', report(ref, Buffer.from('mine\n')))
    expect(await other.next('stateAck')).toMatchObject({ outcome: StateOutcome.STATE_OUTCOME_FENCED })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'running' })
    expect((await box.box.core.traces.read(ref.jobId, 0, 5)).toString()).toBe('mine\n')
    expect((await box.box.core.store.read.db.selectFrom('traces').select('length').execute())[0]?.length).toBe(5)
  })

  it('answers a gap in the log with the right offset', async () => {
    await using box = await StreamBox.start()
    const { stream, ref } = await holding(box)
    stream.send('logChunk', { ...ref, offset: 0, data: Buffer.from('abc') })
    expect(await stream.next('logAck')).toMatchObject({ durableOffset: 3 })
    stream.send('logChunk', { ...ref, offset: 10, data: Buffer.from('far') })
    expect(await stream.next('logAck')).toMatchObject({ durableOffset: 3 })
    stream.send('logChunk', { ...ref, offset: 3, data: Buffer.from('def') })
    expect(await stream.next('logAck')).toMatchObject({ durableOffset: 6 })
  })

  it('applies a report when the log that it counts is there', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, ref } = await holding(box)
    const log = Buffer.from('late\n')
    stream.send('stateUpdate', report(ref, log))
    await stream.settled()
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'running' })
    stream.send('logChunk', { ...ref, offset: 0, data: log })
    expect(await stream.next('stateAck')).toMatchObject({ outcome: StateOutcome.STATE_OUTCOME_APPLIED, revision: 1 })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'success' })
  })

  it('applies a report after a minute even if its log never comes, and shows that it is incomplete', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, ref } = await holding(box)
    stream.send('stateUpdate', report(ref, Buffer.from('never\n')))
    await stream.settled()
    box.box.clock.raise(box.box.clock.now() + 59_000)
    stream.send('leaseRenew', { leases: [ref] })
    await stream.next('leaseState')
    await box.box.tasks.run('expire_leases')
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'running' })
    box.box.clock.advance(1000)
    await box.box.tasks.run('expire_leases')
    expect(await stream.next('stateAck')).toMatchObject({ outcome: StateOutcome.STATE_OUTCOME_APPLIED })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'success' })
    const trace = await box.box.core.store.read.db.selectFrom('traces').selectAll().executeTakeFirstOrThrow()
    expect(trace).toMatchObject({ length: 0, incomplete: 1, mismatch: 1 })
  })

  it('answers an equal final report as the first, and refuses a different one', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, ref } = await holding(box)
    const first = report(ref, Buffer.alloc(0))
    stream.send('stateUpdate', first)
    expect(await stream.next('stateAck')).toMatchObject({ outcome: StateOutcome.STATE_OUTCOME_APPLIED })
    stream.send('stateUpdate', first)
    expect(await stream.next('stateAck')).toMatchObject({
      outcome: StateOutcome.STATE_OUTCOME_DUPLICATE,
      jobStatus: 'success',
    })
    stream.send('stateUpdate', {
      ...first,
      revision: 2,
      state: JobState.JOB_STATE_FAILED,
      failureReason: 'script_failure',
    })
    expect(await stream.next('stateAck')).toMatchObject({
      outcome: StateOutcome.STATE_OUTCOME_FENCED,
      jobStatus: 'success',
    })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'success' })
  })

  it('cancels gracefully: asks until it is acknowledged, then waits for the end', async () => {
    await using box = await StreamBox.start()
    const { token, stream, pipeline, ref } = await holding(box)
    await cancelJob(box.box.core, { jobId: ref.jobId })
    const wanted = { ...ref, revision: 1, mode: CancelMode.CANCEL_MODE_GRACEFUL, graceMs: 30_000 }
    expect(await stream.next('cancel')).toMatchObject(wanted)
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'canceling' })
    stream.cut()
    const again = await box.connect(carrier, token)
    again.send('hello', hello({ running: [{ ...ref, finished: false }] }))
    expect(await again.next('welcome')).toMatchObject({ verdicts: [{ verdict: Verdict.VERDICT_HELD, cancel: wanted }] })
    again.send('cancelAck', { ...ref, revision: 1, phase: CancelPhase.CANCEL_PHASE_RECEIVED })
    await again.settled()
    again.cut()
    const third = await box.connect(carrier, token)
    third.send('hello', hello({ running: [{ ...ref, finished: false }] }))
    const welcome = await third.next('welcome')
    expect(welcome.verdicts[0]?.cancel).toBeUndefined()
    third.send(
      'stateUpdate',
      report(ref, Buffer.alloc(0), { state: JobState.JOB_STATE_FAILED, failureReason: 'job_canceled' }),
    )
    expect(await third.next('stateAck')).toMatchObject({
      outcome: StateOutcome.STATE_OUTCOME_APPLIED,
      jobStatus: 'canceled',
    })
    expect(await box.box.pipelineStatus(pipeline)).toBe('canceled')
  })

  it('ends a cancel that nobody acknowledges', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, ref } = await holding(box)
    await cancelJob(box.box.core, { jobId: ref.jobId })
    await stream.next('cancel')
    for (let waited = 0; waited < 90_000; waited += 15_000) {
      box.box.clock.advance(15_000)
      stream.send('leaseRenew', { leases: [ref] })
      await stream.next('leaseState')
    }
    await box.box.tasks.run('expire_leases')
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'canceled' })
    expect(await stream.next('leaseState')).toMatchObject({ leases: [{ ...ref, verdict: Verdict.VERDICT_ABANDON }] })
  })

  it('abandons a job that is canceled by force', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, ref } = await holding(box)
    await cancelJob(box.box.core, { jobId: ref.jobId })
    await cancelJob(box.box.core, { jobId: ref.jobId, force: true })
    expect(await stream.next('leaseState')).toMatchObject({
      leases: [{ ...ref, verdict: Verdict.VERDICT_ABANDON, reason: 'canceled' }],
    })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'canceled' })
  })

  it('revokes the offer of a job that is canceled before it is accepted', async () => {
    await using box = await StreamBox.start()
    const stream = await attached(box, await runnerOf(box))
    stream.send('want', { credits: 1 })
    await stream.settled()
    const { pipeline } = await box.box.run(hi)
    const offer = await stream.next('offer')
    await cancelJob(box.box.core, { jobId: offer.jobId })
    expect(await stream.next('offerRevoked')).toMatchObject({ jobId: offer.jobId, reason: 'canceled' })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'canceled' })
  })

  it('renews leases, and ends the job of one that is not renewed', async () => {
    await using box = await StreamBox.start()
    const { stream, pipeline, ref } = await holding(box)
    box.box.clock.raise(box.box.clock.now() + 59_000)
    stream.send('leaseRenew', { leases: [ref] })
    expect(await stream.next('leaseState')).toMatchObject({ leases: [{ expiresInMs: 60_000 }] })
    box.box.clock.raise(box.box.clock.now() + 59_000)
    await box.box.tasks.run('expire_leases')
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'running' })
    // Past its term, but not swept yet: a renewal revives it.
    box.box.clock.raise(box.box.clock.now() + 2000)
    stream.send('leaseRenew', { leases: [ref] })
    expect(await stream.next('leaseState')).toMatchObject({ leases: [{ expiresInMs: 60_000 }] })
    box.box.clock.raise(box.box.clock.now() + 60_000)
    await box.box.tasks.run('expire_leases')
    expect(await stream.next('leaseState')).toMatchObject({ leases: [{ ...ref, verdict: Verdict.VERDICT_ABANDON }] })
    const job = await box.box.core.store.read.db.selectFrom('jobs').selectAll().executeTakeFirstOrThrow()
    expect(job).toMatchObject({
      status: 'failed',
      failure_reason: 'runner_system_failure',
      failure_class: 'runner_lost',
    })
    expect(await box.box.pipelineStatus(pipeline)).toBe('failed')
  })

  it('drains: voids offers, gives no more, and counts what is left', async () => {
    await using box = await StreamBox.start()
    const { stream, ref } = await holding(box)
    stream.send('want', { credits: 1 })
    await stream.settled()
    const { pipeline } = await box.box.run(hi, 'acme/other')
    await stream.next('offer')
    stream.send('drain', { revision: 1, reason: 'update' })
    expect(await stream.next('drainState')).toEqual({ revision: 1, openLeases: 1 })
    stream.send('want', { credits: 5 })
    await stream.settled()
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'pending' })
    stream.send('stateUpdate', report(ref, Buffer.alloc(0)))
    let left = await stream.next('drainState')
    while (left.openLeases > 0) left = await stream.next('drainState')
    expect(stream.count('offer')).toBe(2)
  })

  it('follows the runner: paused gets nothing, resumed gets work, deleted is sent away', async () => {
    await using box = await StreamBox.start()
    const { runner, token } = await createRunner(box.box.core, { type: 'instance' })
    const stream = await attached(box, token)
    await updateRunner(box.box.core, { runnerId: runner.id, paused: true })
    stream.send('want', { credits: 1 })
    await stream.settled()
    await box.box.run(hi)
    await stream.settled()
    expect(stream.count('offer')).toBe(0)
    await updateRunner(box.box.core, { runnerId: runner.id, paused: false })
    expect(await stream.next('offer')).toMatchObject({ jobName: 'hi' })
    await deleteRunner(box.box.core, runner.id)
    expect(await stream.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED })
    await stream.ended
  })

  it('lets a deleted runner end what it runs, gives it no more, and says goodbye then', async () => {
    await using box = await StreamBox.start()
    const { runner, token } = await createRunner(box.box.core, { type: 'instance' })
    const stream = await attached(box, token)
    stream.send('want', { credits: 2 })
    const { pipeline } = await box.box.run(hi)
    const { jobId, fence, offerId } = await stream.next('offer')
    stream.send('accept', { jobId, fence, offerId })
    await stream.next('leaseState')
    await deleteRunner(box.box.core, runner.id)
    expect(await stream.next('drain')).toMatchObject({ reason: 'this runner is deleted' })
    await box.box.run(hi, 'acme/other')
    stream.send('want', { credits: 2 })
    stream.send('leaseRenew', { leases: [{ jobId, fence }] })
    expect(await stream.next('leaseState')).toMatchObject({ leases: [{ verdict: Verdict.VERDICT_HELD }] })
    expect(stream.count('offer')).toBe(1)
    stream.send('stateUpdate', {
      jobId,
      fence,
      revision: 1,
      state: JobState.JOB_STATE_SUCCESS,
      logLength: 0,
      logCrc32: 0,
      failureReason: '',
      message: '',
    })
    expect(await stream.next('stateAck')).toMatchObject({ outcome: StateOutcome.STATE_OUTCOME_APPLIED })
    expect(await stream.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'success' })
    await stream.ended
  })

  it('pings a silent peer and closes it when no answer comes', async () => {
    await using box = await StreamBox.start()
    const stream = await attached(box, await runnerOf(box))
    box.box.clock.advance(21_000)
    expect(await stream.next('ping')).toMatchObject({ nonce: expect.any(Number) })
    stream.send('pong', { nonce: 1 })
    await stream.settled()
    box.box.clock.advance(21_000)
    await stream.next('ping')
    box.box.clock.advance(21_000)
    expect(await stream.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_TIMEOUT })
    await stream.ended
  })

  it('closes nobody for a silence that was its own', async () => {
    await using box = await StreamBox.start()
    const greeting = await box.connect(carrier, await runnerOf(box))
    const stream = await attached(box, await runnerOf(box))
    box.box.clock.advance(9000)
    box.box.clock.pause(85_000)
    box.box.clock.advance(1000)
    greeting.send('hello', hello({ systemId: 's_2' }))
    await greeting.next('welcome')
    await stream.settled()
    expect(stream.count('ping')).toBe(0)
    box.box.clock.advance(21_000)
    await stream.next('ping')
    box.box.clock.pause(85_000)
    box.box.clock.advance(1000)
    await stream.settled()
  })

  it('closes a stream that does not say hello', async () => {
    await using box = await StreamBox.start()
    const stream = await box.connect(carrier, await runnerOf(box))
    box.box.clock.advance(12_000)
    expect(await stream.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_TIMEOUT })
    await stream.ended
  })

  it('says goodbye to everybody when the node stops', async () => {
    const box = await StreamBox.start()
    const stream = await attached(box, await runnerOf(box))
    await box.close()
    expect(await stream.next('goodbye')).toMatchObject({ code: GoodbyeCode.GOODBYE_CODE_SHUTDOWN })
    await stream.ended
  })

  it('fails a job whose log grows over the limit', async () => {
    await using box = await StreamBox.start()
    Object.assign(box.box.core.settings, { traceLimitBytes: 10 })
    const { stream, pipeline, ref } = await holding(box)
    stream.send('logChunk', { ...ref, offset: 0, data: Buffer.from('0123456789') })
    await stream.next('logAck')
    stream.send('logChunk', { ...ref, offset: 10, data: Buffer.from('x') })
    expect(await stream.next('leaseState')).toMatchObject({ leases: [{ verdict: Verdict.VERDICT_ABANDON }] })
    expect(await box.box.statuses(pipeline)).toEqual({ hi: 'failed' })
    const job = await box.box.core.store.read.db.selectFrom('jobs').selectAll().executeTakeFirstOrThrow()
    expect(job.failure_reason).toBe('trace_size_exceeded')
  })

  it('covers the job token in the log, also when it comes in two parts', async () => {
    await using box = await StreamBox.start()
    const { stream, offer, ref } = await holding(box)
    const { token } = JSON.parse(Buffer.from(offer.payload).toString())
    const log = Buffer.from(`before ${token} after\n`)
    for (const cut of [20, log.length]) {
      const from = cut === 20 ? 0 : 20
      stream.send('logChunk', { ...ref, offset: from, data: log.subarray(from, cut) })
      expect(await stream.next('logAck')).toMatchObject({ durableOffset: cut })
    }
    const stored = await box.box.core.traces.read(ref.jobId, 0, log.length)
    expect(stored.toString()).toBe(`before ${'*'.repeat(token.length)} after\n`)
  })
}
