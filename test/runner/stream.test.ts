import { expect, test } from 'vitest'
import { ErrorCode, GoodbyeCode } from '../../src/gen/signalbox/runner/v1/runner.js'
import { RunnerError } from '../../src/runner/runner-error.js'
import { Harness } from './support/harness.js'
import { isAlive, waitFor } from './support/processes.js'

test('greets first and numbers its messages without a gap', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add()
  await harness.runner({ labels: { rack: 'b2' }, concurrency: 3 })
  const peer = await harness.box.peer()
  await job.finished()
  const [hello] = peer.received
  expect(hello?.body).toMatchObject({
    $case: 'hello',
    value: { protocolMin: 1, protocolMax: 1, executor: 'shell', capacity: 3, labels: { rack: 'b2' }, running: [] },
  })
  expect(peer.hello?.features).toContain('cancel_gracefully')
  expect(peer.received.map(({ seq }) => seq)).toEqual(peer.received.map((_each, index) => index + 1))
  const kinds = peer.received.map(({ body }) => body?.$case)
  expect(kinds.slice(1, 3)).toEqual(['want', 'accept'])
  expect(kinds.indexOf('started')).toBeGreaterThan(2)
  expect(kinds.slice(-2)).toEqual(['stateUpdate', 'want'])
  // The last word about free places counts everything that was seen before it.
  expect(peer.received.at(-1)).toMatchObject({ body: { value: { credits: 3 } } })
})

test('speaks JSON frames where it is told to', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['seq 1 1000'] })
  await harness.runner({ json: true })
  expect(await job.finished()).toMatchObject({ state: 'success', logCrc: job.logCrc })
})

test('starts nothing before the lease is held', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add()
  job.treat.hold = false
  const runner = await harness.runner()
  const peer = await harness.box.peer()
  await harness.box.until(() => peer.received.some(({ body }) => body?.$case === 'accept'), 'Accept')
  // The answer was lost with the connection; the next one says what became of the lease.
  harness.box.cut()
  expect(runner.count('job.accepted')).toBe(0)
  expect(await job.finished()).toMatchObject({ state: 'success' })
  expect(runner.count('job.accepted')).toBe(1)
})

test('lists what it runs in Hello and goes on where the log is durable', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go'))] })
  await harness.runner()
  await job.says('is ready\n')
  const first = await harness.box.peer()
  harness.box.cut()
  const second = await harness.box.until(
    () => [...harness.box.peers].find((each) => each !== first && each.hello),
    'a stream',
  )
  expect(second.hello?.running).toEqual([{ jobId: 1, fence: 1, finished: false }])
  expect(second.hello?.bootId).toBe(first.hello?.bootId)
  expect(second.hello?.systemId).toBe(first.hello?.systemId)
  harness.touch('go')
  expect(await job.finished()).toMatchObject({ state: 'success', logCrc: job.logCrc })
})

test('refuses an offer beyond its places and goes on working', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go'))] })
  await harness.runner({ concurrency: 1 })
  await job.says('is ready\n')
  const extra = harness.box.add()
  const peer = await harness.box.peer()
  peer.offerJob(extra)
  await extra.until(() => extra.rejected.length > 0, 'a rejection')
  expect(extra.rejected).toEqual(['no_credit'])
  harness.touch('go')
  expect(await job.finished()).toMatchObject({ state: 'success' })
  expect(await extra.finished()).toMatchObject({ state: 'success' })
})

test('takes an offer that is made twice once', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go'))] })
  const runner = await harness.runner()
  await job.says('is ready\n')
  const peer = await harness.box.peer()
  peer.offerJob(job)
  await harness.box.until(
    () => peer.received.filter(({ body }) => body?.$case === 'accept').length === 2,
    'Accept again',
  )
  harness.touch('go')
  expect(await job.finished()).toMatchObject({ state: 'success', logCrc: job.logCrc })
  expect(runner.count('job.accepted')).toBe(1)
})

test('refuses what is no job', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ extra: { steps: [{ name: 'script', script: 'not a list' }] } })
  const runner = await harness.runner()
  expect(await runner.event('job.rejected')).toMatchObject({ jobId: job.id, reason: 'unsupported' })
})

test('renews all leases in one message', async () => {
  await using harness = await Harness.start('websocket')
  harness.box.renewEveryMs = 100
  const script = ['echo is ready', waitFor(harness.file('go'))]
  const jobs = [harness.box.add({ script }), harness.box.add({ script })]
  await harness.runner()
  const peer = await harness.box.peer()
  const renewal = await harness.box.until(
    () =>
      peer.received
        .map(({ body }) => body)
        .find((body) => body?.$case === 'leaseRenew' && body.value.leases.length === 2),
    'a renewal of both',
  )
  expect(renewal?.value).toEqual({
    leases: [
      { jobId: 1, fence: 1 },
      { jobId: 2, fence: 1 },
    ],
  })
  harness.touch('go')
  await Promise.all(jobs.map((job) => job.finished()))
})

test('kills a job before its lease can have ended', async () => {
  await using harness = await Harness.start('websocket')
  harness.box.leaseMs = 600
  harness.box.renewEveryMs = 100
  const job = harness.box.add({ script: ['echo "pid $$ is ready"', 'sleep 1000'] })
  job.treat.renew = false
  const runner = await harness.runner()
  await job.says('is ready\n')
  const pid = Number(/pid (\d+)/.exec(job.text)?.[1])
  const { report } = await runner.event('job.finished')
  expect(report).toMatchObject({ state: 'failed', failureReason: 'runner_system_failure' })
  expect(report.message).toContain('could not be renewed')
  expect(isAlive(pid)).toBe(false)
})

test('drops an offer that is withdrawn', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add()
  job.treat.hold = false
  const runner = await harness.runner({ concurrency: 1 })
  const peer = await harness.box.peer()
  await harness.box.until(() => peer.received.some(({ body }) => body?.$case === 'accept'), 'Accept')
  peer.send({ $case: 'offerRevoked', value: { offerId: 'offer-1-1', jobId: 1, fence: 1, reason: 'expired' } })
  await runner.event('job.abandoned', ({ reason }) => reason === 'expired')
  expect(await harness.box.add().finished()).toMatchObject({ state: 'success' })
  expect(runner.count('job.accepted')).toBe(1)
})

test('sends the log again from where a coordinator has lost acknowledged bytes, and says so', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['seq 1 3000', 'echo is ready', waitFor(harness.file('go')), 'seq 3001 6000'] })
  await harness.runner()
  await job.says('is ready\n')
  const peer = await harness.box.peer()
  job.log = job.log.subarray(0, 1000)
  peer.ackLog(job)
  harness.touch('go')
  expect(await job.finished()).toMatchObject({ state: 'success', logLength: job.log.length, logCrc: job.logCrc })
  const errors = peer.received.flatMap(({ body }) => (body?.$case === 'error' ? [body.value] : []))
  expect(errors).toMatchObject([{ code: ErrorCode.ERROR_CODE_INVALID, lease: { jobId: 1, fence: 1 } }])
})

test('sends no more of a log than its window allows', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go')), 'seq 1 30000'] })
  const runner = await harness.runner()
  await job.says('is ready\n')
  const peer = await harness.box.peer()
  job.treat.windowBytes = 0
  peer.ackLog(job)
  harness.touch('go')
  await runner.event('job.finished')
  const stored = job.log.length
  expect(job.text).not.toContain('30000')
  job.treat.windowBytes = 10_000
  peer.ackLog(job)
  expect(await job.finished()).toMatchObject({ logLength: job.log.length, logCrc: job.logCrc })
  const late = job.chunks.filter(({ offset }) => offset >= stored)
  expect(Math.max(...late.map(({ length }) => length))).toBeLessThanOrEqual(10_000)
})

test('acknowledges a cancel again when it is said again', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['echo is ready', 'sleep 1000'], afterScript: [waitFor(harness.file('go'))] })
  const runner = await harness.runner()
  await job.says('is ready\n')
  harness.box.cancel(job, 'graceful')
  await job.until(() => job.cancelPhases.length === 2, 'two phases')
  harness.box.cut()
  await job.until(() => job.cancelPhases.length === 4, 'the phases again')
  expect(job.cancelPhases).toEqual(['received', 'stopped', 'received', 'stopped'])
  expect(runner.count('job.canceling')).toBe(1)
  harness.touch('go')
  expect(await job.finished()).toMatchObject({ failureReason: 'job_canceled' })
})

test('a second graceful cancel is a forced one', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ["trap '' TERM", 'echo is ready', 'while :; do sleep 0.1; done'] })
  const runner = await harness.runner()
  await job.says('is ready\n')
  harness.box.cancel(job, 'graceful', 60_000)
  await runner.event('job.canceling')
  harness.box.cancel(job, 'graceful', 60_000)
  await job.finished()
  expect(runner.events.flatMap((event) => (event.type === 'job.canceling' ? [event.mode] : []))).toEqual([
    'graceful',
    'force',
  ])
})

test('ends for good when its token is taken away, and takes its jobs along', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['echo "pid $$ is ready"', 'sleep 1000'] })
  const runner = await harness.runner()
  await job.says('is ready\n')
  const peer = await harness.box.peer()
  peer.goodbye(GoodbyeCode.GOODBYE_CODE_UNAUTHORIZED)
  await expect(runner.handle.done).rejects.toMatchObject({ code: 'unauthorized' })
  expect(isAlive(Number(/pid (\d+)/.exec(job.text)?.[1]))).toBe(false)
})

test('gives way to another process of the same name', async () => {
  await using harness = await Harness.start('websocket')
  const runner = await harness.runner()
  const peer = await harness.box.peer()
  peer.goodbye(GoodbyeCode.GOODBYE_CODE_SUPERSEDED)
  const error: unknown = await runner.handle.done.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(RunnerError)
  expect(error).toMatchObject({ code: 'superseded' })
})

test('comes back after a planned farewell', async () => {
  await using harness = await Harness.start('websocket')
  const runner = await harness.runner()
  const peer = await harness.box.peer()
  peer.goodbye(GoodbyeCode.GOODBYE_CODE_SHUTDOWN, 50)
  await runner.until(() => runner.count('connected') === 2, 'a second connection')
  const { retryInMs } = await runner.event('disconnected')
  expect(retryInMs).toBeGreaterThanOrEqual(50)
})

test('drains when the coordinator asks for it', async () => {
  await using harness = await Harness.start('websocket')
  const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go'))] })
  const runner = await harness.runner()
  await job.says('is ready\n')
  const peer = await harness.box.peer()
  peer.send({ $case: 'drain', value: { revision: 1, reason: 'update' } })
  await runner.event('draining')
  harness.touch('go')
  await runner.handle.done
  expect(job.report).toMatchObject({ state: 'success' })
  await harness.box.until(() => harness.box.goodbyes.includes(GoodbyeCode.GOODBYE_CODE_DONE), 'a farewell')
})

test('finds out that a connection leads nowhere', async () => {
  await using harness = await Harness.start('websocket')
  harness.box.pingIntervalMs = 100
  const runner = await harness.runner()
  await runner.event('connected')
  harness.box.mute = true
  expect(await runner.event('disconnected')).toMatchObject({ reason: 'the coordinator does not answer' })
  harness.box.mute = false
  await runner.until(() => runner.count('connected') === 2, 'a second connection')
})

test('answers pings, and a message that it does not know with an error', async () => {
  await using harness = await Harness.start('websocket')
  await harness.runner()
  const peer = await harness.box.peer()
  peer.send({ $case: 'ping', value: { nonce: 77 } })
  await harness.box.until(
    () => peer.received.find(({ body }) => body?.$case === 'pong' && body.value.nonce === 77),
    'Pong',
  )
  peer.wire.send({ seq: 99, ack: 0, body: undefined })
  const error = await harness.box.until(
    () => peer.received.map(({ body }) => body).find((body) => body?.$case === 'error'),
    'an error',
  )
  expect(error?.value).toMatchObject({ code: ErrorCode.ERROR_CODE_UNSUPPORTED, relatedSeq: 99 })
})
