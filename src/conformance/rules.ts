/** The rules that a runner is judged by, each with the scenario that shows whether it is kept. See docs/protocol.md. */
import { crc32 } from 'node:zlib'
import { CancelMode, CancelPhase, GoodbyeCode, JobState, Verdict } from '../gen/signalbox/runner/v1/runner.js'
import type { KitJob } from './job.js'
import { Broken, type Kit, type KitPlays, kitToken } from './kit.js'
import type { Stream } from './stream.js'

export interface Rule {
  name: string
  /** What it asks for. */
  asks: string
  plays?: KitPlays
  play(kit: Kit): Promise<void>
}

/** As long as nothing must come. */
const quietMs = 1000
/** How long a cancel, and a stop at SIGTERM, may take. */
const stopMs = 15_000
const slow = ['echo begin', 'sleep 60', 'echo end']

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Broken(what)
}

/** Hands out a job that lasts, and waits until its log has begun. */
async function running(kit: Kit, stream: Stream, script = slow, treat: Partial<KitJob> = {}): Promise<KitJob> {
  const job = await kit.offer(stream, script, treat)
  await kit.until('the begin of the log', () => job.log.includes('begin'))
  return job
}

/** Waits for the report, and holds it against the log. */
async function whole(kit: Kit, job: KitJob, text: string): Promise<void> {
  const report = await kit.report(job)
  await kit.until('all of the log', () => job.log.length >= report.logLength)
  expect(
    report.logLength === job.log.length,
    `the report counts ${report.logLength} bytes of log, and ${job.log.length} came`,
  )
  expect(report.logCrc32 === crc32(job.log), 'the CRC-32 of the report is not that of the log')
  expect(job.log.includes(text), `the log does not hold ${JSON.stringify(text)}`)
}

export const rules: Rule[] = [
  {
    name: 'hello',
    asks: 'Hello is the first message and names the token, the manager, its boot, version 1, and an executor',
    async play(kit) {
      const { hello, token } = await kit.attached()
      expect((token || hello!.token) === kitToken, 'neither the call nor Hello has the token of SIGNALBOX_RUNNER_TOKEN')
      expect(/^[\x21-\x7e]{1,64}$/.test(hello!.systemId), 'Hello.system_id has 1 to 64 characters')
      expect(hello!.bootId !== '', 'Hello.boot_id is empty')
      expect(hello!.protocolMin <= 1 && hello!.protocolMax >= 1, 'Hello does not speak version 1')
      expect(hello!.executor !== '' && hello!.capacity > 0, 'Hello names no executor, or no capacity')
      expect(hello!.running.length === 0, 'a runner that has just begun lists leases in Hello')
    },
  },
  {
    name: 'credits',
    asks: 'Want counts free places, and no more than Hello.capacity',
    async play(kit) {
      const stream = await kit.attached()
      const wants = await kit.until('Want', () => stream.all('want').length > 0 && stream.all('want'))
      const most = Math.max(...wants.map(({ credits }) => credits))
      expect(
        most <= stream.hello!.capacity,
        `Want asks for ${most} jobs, and the capacity is ${stream.hello!.capacity}`,
      )
    },
  },
  {
    name: 'job',
    asks: 'a job is accepted, its log is sent from offset 0, and the report has state, length and CRC-32',
    async play(kit) {
      const job = await kit.offer(await kit.attached(), ['echo one is $CHECKED', 'echo two'])
      await whole(kit, job, 'one is by the kit')
      expect(
        (await kit.report(job)).state === JobState.JOB_STATE_SUCCESS,
        'a script that ended with 0 is not a success',
      )
    },
  },
  {
    name: 'failure',
    asks: 'a script that fails is reported as failed, with its exit code and script_failure',
    async play(kit) {
      const job = await kit.offer(await kit.attached(), ['echo before', 'exit 3', 'echo after'])
      await whole(kit, job, 'before')
      const { state, exitCode, failureReason } = await kit.report(job)
      expect(state === JobState.JOB_STATE_FAILED, 'the state is not FAILED')
      expect(exitCode === 3, `the exit code is ${exitCode}, not 3`)
      expect(failureReason === 'script_failure', `the reason is ${JSON.stringify(failureReason)}`)
    },
  },
  {
    name: 'held-first',
    asks: 'nothing starts before LeaseState HELD',
    async play(kit) {
      const stream = await kit.attached()
      const job = await kit.offer(stream, ['echo begin'], { accepting: 'wait' })
      await kit.until('Accept', () => kit.about('accept', job).length > 0)
      const early = () =>
        ['started', 'logChunk', 'stateUpdate'].find((kind) => kit.about(kind as 'started', job).length > 0)
      await kit.never(quietMs, () => early() && `${early()} came before the lease was held`)
      kit.verdict(stream, job, Verdict.VERDICT_HELD)
      await whole(kit, job, 'begin')
    },
  },
  {
    name: 'abandon',
    asks: 'a lease that is answered with ABANDON is forgotten, and its place is free again',
    async play(kit) {
      const stream = await kit.attached()
      const job = await kit.offer(stream, ['echo begin'], { accepting: 'abandon' })
      await kit.until('Accept', () => kit.about('accept', job).length > 0)
      const count = () => kit.about('logChunk', job).length + kit.about('stateUpdate', job).length
      await kit.never(quietMs, () => (count() > 0 ? 'messages about an abandoned job came' : undefined))
      await whole(kit, await kit.offer(stream, ['echo next']), 'next')
    },
  },
  {
    name: 'fenced',
    asks: 'a job whose lease is lost is stopped, and nothing more is said of it',
    async play(kit) {
      const stream = await kit.attached()
      const job = await running(kit, stream, ['echo begin', 'while true; do echo more; sleep 0.1; done'])
      job.over = true
      kit.verdict(stream, job, Verdict.VERDICT_ABANDON)
      const before = stream.all('want').length
      await kit.until('Want after ABANDON', () => stream.all('want').length > before, stopMs)
      const count = () => kit.about('logChunk', job).length + kit.about('stateUpdate', job).length
      const then = count()
      await kit.never(quietMs, () => (count() > then ? 'messages about a job with ABANDON came' : undefined))
    },
  },
  {
    name: 'window',
    asks: 'no more bytes of log are on their way than the window allows',
    plays: { window: 4096 },
    async play(kit) {
      const stream = await kit.attached()
      const job = await kit.offer(
        stream,
        ['i=0; while [ $i -lt 400 ]; do echo "line $i of the log, as long as it is"; i=$((i+1)); done'],
        { acksLog: false },
      )
      await kit.until('LogChunk', () => job.log.length > 0)
      await kit.never(quietMs, () => undefined)
      job.acksLog = true
      kit.ackLog(stream, job)
      await whole(kit, job, 'line 399 of')
    },
  },
  {
    name: 'log-gap',
    asks: 'a LogAck below what was sent makes the runner send again from there',
    async play(kit) {
      const stream = await kit.attached()
      const job = await kit.offer(stream, ['echo begin', 'sleep 1', 'echo middle', 'sleep 1', 'echo end'], {
        losing: 1,
      })
      await whole(kit, job, 'end')
      expect(job.log.includes('begin') && job.log.includes('middle'), 'a part of the log is missing')
    },
  },
  {
    name: 'resume',
    asks: 'when the link breaks the job goes on, and a new Hello lists it under the same system_id and boot_id',
    async play(kit) {
      const first = await kit.attached()
      const job = await running(kit, first, ['echo begin', 'sleep 2', 'echo end'])
      first.cut()
      const { hello } = await kit.attached(1)
      expect(hello!.systemId === first.hello!.systemId, 'the system_id has changed')
      expect(hello!.bootId === first.hello!.bootId, 'the boot_id has changed, and the process is the same')
      const listed = hello!.running.some(({ jobId, fence }) => jobId === job.id && fence === job.fence)
      expect(listed, 'Hello.running does not list the job with its fence')
      await whole(kit, job, 'end')
    },
  },
  {
    name: 'report-kept',
    asks: 'a report without StateAck is sent again on the next stream, with the same revision',
    async play(kit) {
      const first = await kit.attached()
      const job = await kit.offer(first, ['echo begin'], { acksReports: false })
      const before = await kit.report(job)
      job.acksReports = true
      first.cut()
      const second = await kit.attached(1)
      const again = await kit.until('StateUpdate again', () => second.all('stateUpdate')[0])
      expect(again.revision === before.revision, `the revision was ${before.revision} and is ${again.revision}`)
      expect(again.state === before.state && again.logCrc32 === before.logCrc32, 'the report has changed')
    },
  },
  {
    name: 'cancel',
    asks: 'Cancel is acknowledged, the script is stopped, and the end is reported',
    async play(kit) {
      const stream = await kit.attached()
      const job = await running(kit, stream)
      const { id: jobId, fence } = job
      stream.send({
        $case: 'cancel',
        value: { jobId, fence, revision: 4, mode: CancelMode.CANCEL_MODE_GRACEFUL, graceMs: 2000 },
      })
      const acks = () => kit.about('cancelAck', job)
      await kit.until('CancelAck RECEIVED', () => acks().some((one) => one.phase === CancelPhase.CANCEL_PHASE_RECEIVED))
      expect(
        acks().every(({ revision }) => revision === 4),
        'CancelAck has another revision than Cancel',
      )
      await kit.report(job, stopMs)
      await kit.until('CancelAck STOPPED', () => acks().some((one) => one.phase === CancelPhase.CANCEL_PHASE_STOPPED))
      expect(!job.log.toString().includes('\nend'), 'the script went on to its end')
    },
  },
  {
    name: 'renew',
    asks: 'LeaseRenew comes every renew_every_ms and names each lease that is held',
    plays: { renewEveryMs: 1000 },
    async play(kit) {
      const stream = await kit.attached()
      const job = await running(kit, stream)
      const named = () =>
        stream
          .all('leaseRenew')
          .filter(({ leases }) => leases.some((one) => one.jobId === job.id && one.fence === job.fence))
      await kit.until('LeaseRenew three times', () => named().length >= 3, 6000)
    },
  },
  {
    name: 'ping',
    asks: 'Ping is answered by Pong with its nonce',
    async play(kit) {
      const stream = await kit.attached()
      stream.send({ $case: 'ping', value: { nonce: 4711 } })
      await kit.until('Pong with the nonce', () => stream.all('pong').some(({ nonce }) => nonce === 4711))
    },
  },
  {
    name: 'rotation',
    asks: 'after Goodbye SHUTDOWN the runner comes back, not before reconnect_after_ms',
    async play(kit) {
      const first = await kit.attached()
      const value = { code: GoodbyeCode.GOODBYE_CODE_SHUTDOWN, reason: 'this node stops', reconnectAfterMs: 1500 }
      first.send({ $case: 'goodbye', value })
      first.end()
      const from = Date.now()
      const second = await kit.attached(1)
      const waited = second.openedAt - from
      expect(waited > 1300, `it came back after ${waited} ms, and 1500 were asked for`)
    },
  },
  {
    name: 'unauthorized',
    asks: 'after Goodbye UNAUTHORIZED it does not come back',
    plays: { refuses: true },
    async play(kit) {
      // One that never came has not stayed away.
      await kit.until('a stream', () => kit.streams.length > 0)
      await kit
        .until('the end of its stream', () => kit.streams.some((one) => !one.open))
        .catch((error: Error) => {
          if (!/ended with/.test(error.message)) throw error
        })
      if (kit.exit !== undefined) return
      const come = kit.streams.length
      await kit
        .never(3000, () => (kit.streams.length > come ? 'it came back with a token that is refused' : undefined))
        .catch((error: Error) => {
          if (!/ended with/.test(error.message)) throw error
        })
    },
  },
  {
    name: 'stop',
    asks: 'at SIGTERM it asks for no more jobs, ends the one that runs, reports it, and leaves',
    async play(kit) {
      const stream = await kit.attached()
      const job = await running(kit, stream, ['echo begin', 'sleep 2', 'echo end'])
      kit.signal('SIGTERM')
      await whole(kit, job, 'end')
      await kit
        .until('the end of the process', () => undefined, stopMs)
        .catch((error: Error) => {
          if (!/ended with/.test(error.message)) throw error
        })
    },
  },
]
