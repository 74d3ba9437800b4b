// The six messages of a job's life (offer, accept, leaseState, stateUpdate, want, stateAck) over streams of grpc-js with
// their protobuf, and nothing else: `node life-messages.mjs server` is asked for its main thread's microseconds,
// `… runners` holds the other ends.
import grpc from '@grpc/grpc-js'
import { RunnerMessage, RunnerServiceService, ServerMessage } from '../../dist/gen/signalbox/runner/v1/runner.js'
import { mainThreadUs, serve } from '../lib.mjs'

const { path } = RunnerServiceService.connect
const raw = (bytes) => bytes
const asBuffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const payload = Buffer.alloc(6000, 'x')
let lives = 0

function talk(call) {
  call.sendMetadata(new grpc.Metadata())
  let seq = 0
  let job = 0
  let heard = 0
  const say = ($case, value) => {
    seq++
    call.write(asBuffer(ServerMessage.encode({ seq, ack: heard, body: { $case, value } }).finish()))
  }
  const lease = () => ({ jobId: job, fence: 1 })
  const offer = () => {
    job++
    const about = { projectId: 1, pipelineId: 1, jobName: 'job-1', timeoutMs: 3_600_000 }
    say('offer', { offerId: `${job}.1`, ...lease(), acceptWithinMs: 30_000, payload, ...about })
  }
  call.on('data', (bytes) => {
    heard = RunnerMessage.decode(bytes).seq
    const verdict = { ...lease(), verdict: 1, expiresInMs: 120_000, logOffset: 0, reason: '' }
    if (heard % 3 === 1) say('leaseState', { leases: [verdict] })
    else if (heard % 3 === 2) say('stateAck', { ...lease(), revision: 1, outcome: 1, jobStatus: 'success' })
    else {
      lives++
      offer()
    }
  })
  call.on('error', () => {})
  call.on('end', () => call.end())
  offer()
}

function open(port) {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  })
  const call = client.makeBidiStreamRequest(path, raw, raw, new grpc.Metadata())
  let seq = 0
  let heard = 0
  const say = ($case, value) => {
    seq++
    call.write(asBuffer(RunnerMessage.encode({ seq, ack: heard, body: { $case, value } }).finish()))
  }
  const end = { state: 'JOB_STATE_SUCCESS', failureReason: '', message: '', logLength: 0, logCrc32: 0 }
  call.on('data', (bytes) => {
    const message = ServerMessage.decode(bytes)
    heard = message.seq
    const { $case, value } = message.body
    if ($case === 'offer') say('accept', { offerId: value.offerId, jobId: value.jobId, fence: 1 })
    else if ($case === 'leaseState') {
      say('stateUpdate', { jobId: value.leases[0].jobId, fence: 1, revision: 1, ...end })
      say('want', { credits: 1 })
    }
  })
  call.on('error', () => {})
}

serve({
  listen() {
    const server = new grpc.Server()
    const streams = { requestStream: true, responseStream: true }
    const bytes = {
      requestSerialize: raw,
      requestDeserialize: raw,
      responseSerialize: raw,
      responseDeserialize: raw,
    }
    server.addService({ connect: { path, ...streams, ...bytes } }, { connect: talk })
    return new Promise((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure()
      server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port)))
    })
  },
  open({ port, count }) {
    for (let i = 0; i < count; i++) open(port)
  },
  stat: () => ({ lives, mainUs: mainThreadUs() }),
})
