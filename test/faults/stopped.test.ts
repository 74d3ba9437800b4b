/**
 * The coordinator is stopped (SIGSTOP, as a frozen container, or a laptop that sleeps) for longer than leases and offers
 * last, while what its runners say waits in the sockets. The time for which it could hear nobody counts against nobody.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { JobState, StateOutcome, type StateUpdate } from '../../src/gen/signalbox/runner/v1/runner.js'
import { hello, TestStream } from '../contract/stream-client.js'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'

const termMs = 3000
const settingsFile = path.join(mkdtempSync(path.join(os.tmpdir(), 'signalbox-stopped-')), 'signalbox.toml')
const keys = ['stream_held_for', 'stream_accept_within', 'poll_held_for', 'poll_accept_within']
writeFileSync(settingsFile, `[leases]\nstream_renew_every = "1s"\n${keys.map((key) => `${key} = "3s"\n`).join('')}`)
afterAll(() => rmSync(path.dirname(settingsFile), { recursive: true }))

const jobs = ['websocket', 'grpc', 'offered', 'polled', 'lost']

it('hears what was said while it was stopped before it judges anybody', async () => {
  await using box = await Coordinator.start({ flags: ['--config', settingsFile] })
  const tokenOf = async (tag: string) =>
    (await box.signalbox('runner', 'create', '--description', tag, '--tags', tag)).stdout.trim()
  const tokens = new Map(await Promise.all(jobs.map(async (tag) => [tag, await tokenOf(tag)] as const)))
  const config = Object.fromEntries(jobs.map((name) => [name, { tags: [name], script: ['true'] }]))
  const folder = await box.repository('team/app', { '.gitlab-ci.yml': JSON.stringify(config) })
  await git(folder, 'push', '--quiet', 'origin', 'main')

  const open = async (name: string) => {
    const port = Number(new URL(box.url).port)
    const grpcPort = Number(new URL(box.grpcUrl.replace(/^grpc/, 'http')).port)
    const token = tokens.get(name)!
    const stream = await (name === 'grpc'
      ? TestStream.overGrpc(grpcPort, token)
      : TestStream.overWebSocket(port, token, false))
    stream.send('hello', hello())
    await stream.next('welcome')
    stream.send('want', { credits: 1 })
    const { offerId, jobId, fence } = await stream.next('offer')
    const ref = { jobId, fence }
    return { stream, ref, accept: () => stream.send('accept', { offerId, ...ref }) }
  }
  const holding = async (name: string) => {
    const held = await open(name)
    held.accept()
    await held.stream.next('leaseState')
    held.stream.send('started', { ...held.ref, facts: {} })
    await held.stream.settled()
    return held
  }
  const request = { token: tokens.get('polled'), system_id: 's_1', info: { features: { cancelable: true } } }
  const polled = await box.api<{ id: number; token: string }>('POST', '/api/v4/jobs/request', request)
  const [lost, websocket, grpc] = await Promise.all([holding('lost'), holding('websocket'), holding('grpc')])
  const offered = await open('offered')
  lost.stream.cut()

  box.signal('SIGSTOP')
  for (const { stream, ref } of [websocket, grpc]) stream.send('stateUpdate', succeeded(ref))
  offered.accept()
  const put = fetch(`${box.url}/api/v4/jobs/${polled.id}`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ token: polled.token, state: 'success' }),
  })
  // This is the fault, not a wait for something: leases end, if anybody counts.
  await new Promise((resolve) => setTimeout(resolve, termMs + 2000))
  box.signal('SIGCONT')

  for (const { stream } of [websocket, grpc]) {
    expect(await stream.next('stateAck')).toMatchObject({ outcome: StateOutcome.STATE_OUTCOME_APPLIED })
  }
  expect(await offered.stream.next('leaseState')).toMatchObject({ leases: [{ reason: '' }] })
  expect((await put).status).toBe(200)
  offered.stream.send('stateUpdate', succeeded(offered.ref))
  await offered.stream.next('stateAck')
  // Whoever has said nothing is lost all the same, a term later.
  await eventually(async () => {
    const list = await box.api<{ name: string; status: string }[]>('GET', '/api/v4/projects/team%2Fapp/jobs')
    const statuses = Object.fromEntries(list.map(({ name, status }) => [name, status]))
    expect(statuses).toEqual({
      ...Object.fromEntries(jobs.map((name) => [name, 'success'])),
      lost: 'failed',
    })
  })
  const metrics = await (await fetch(`${box.url}/metrics`)).text()
  expect(Number(/^signalbox_away_seconds (\S+)$/m.exec(metrics)?.[1])).toBeGreaterThan(termMs / 1000)
})

function succeeded(ref: { jobId: number; fence: number }): StateUpdate {
  return {
    ...ref,
    revision: 1,
    state: JobState.JOB_STATE_SUCCESS,
    exitCode: 0,
    failureReason: '',
    message: '',
    logLength: 0,
    logCrc32: 0,
  }
}
