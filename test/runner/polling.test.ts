import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { Harness } from './support/harness.js'
import { waitFor } from './support/processes.js'

interface JobRequest {
  token: string
  system_id: string
  last_update?: string
  info: { name: string; executor: string; shell: string; features: Record<string, boolean>; config: object }
}

test('asks as GitLab Runner asks', async () => {
  await using harness = await Harness.start('poll')
  const job = harness.box.add({ script: ['echo hello', 'exit 9'] })
  const runner = await harness.runner()
  await runner.event('job.reported')
  const { requests } = harness.box
  const kinds = requests.map(({ method, path }) => `${method} ${path.replace('/api/v4/', '')}`)
  expect(kinds.slice(0, 3)).toEqual(['POST runners/verify', 'POST jobs/request', 'PUT jobs/1'])
  const asked = requests.find(({ path }) => path.endsWith('jobs/request'))
  const body = JSON.parse(asked?.body.toString() ?? '') as JobRequest
  expect(body).toMatchObject({
    system_id: runner.handle.systemId,
    info: { executor: 'shell', shell: 'bash', config: { gpus: '' } },
  })
  expect(body.info.features).toMatchObject({
    two_phase_job_commit: true,
    cancel_gracefully: true,
    artifacts: true,
    image: false,
    proxy: false,
  })
  expect(asked?.headers['runner-token']).toBe(body.token)
  expect(asked?.headers.accept).toBe('application/json')
  expect(asked?.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
  const [first, last] = requests
    .filter(({ method }) => method === 'PUT')
    .map((request) => ({
      headers: request.headers,
      body: JSON.parse(request.body.toString()) as Record<string, unknown>,
    }))
  expect(first?.body).toMatchObject({ token: job.token, state: 'running', output: {} })
  expect(first?.headers['job-token']).toBe(job.token)
  const checksum = `crc32:${job.logCrc.toString(16).padStart(8, '0')}`
  expect(last?.body).toMatchObject({
    state: 'failed',
    failure_reason: 'script_failure',
    exit_code: 9,
    checksum,
    output: { checksum, bytesize: job.log.length },
  })
  const [patch] = requests.filter(({ method }) => method === 'PATCH')
  expect(patch?.path).toBe('/api/v4/jobs/1/trace?debug_trace=false')
  expect(patch?.headers['content-range']).toBe(`0-${(patch?.body.length ?? 0) - 1}`)
  expect(patch?.headers['content-type']).toBe('text/plain')
})

test('waits on the server with the last update that it saw, and at once', async () => {
  await using harness = await Harness.start('poll')
  // The pause between polls is so long that a job could not be had within the test if one were made.
  await harness.runner({ pollIntervalMs: 60_000 })
  const asked = () => harness.box.requests.filter(({ path }) => path.endsWith('jobs/request'))
  await harness.box.until(() => asked().length === 2, 'a second request')
  const updates = asked().map(({ body }) => (JSON.parse(body.toString()) as JobRequest).last_update)
  expect(updates).toEqual([undefined, harness.box.queue])
  expect(await harness.box.add().finished()).toMatchObject({ state: 'success' })
})

test('repeats what the server could not answer, as the same request', async () => {
  await using harness = await Harness.start('poll')
  harness.box.fault(/jobs\/request/, 503, { times: 2, headers: { 'retry-after': '0' } })
  const job = harness.box.add()
  await harness.runner({ concurrency: 1 })
  await job.finished()
  const ids = harness.box.requests
    .filter(({ path }) => path.endsWith('jobs/request'))
    .slice(0, 3)
    .map(({ headers }) => headers['x-request-id'])
  expect(new Set(ids).size).toBe(1)
})

test('goes on from where the server says that the log ends', async () => {
  await using harness = await Harness.start('poll')
  const job = harness.box.add({ script: ['seq 1 1000', 'echo is ready', waitFor(harness.file('go'))] })
  await harness.runner()
  await job.says('is ready\n')
  job.log = job.log.subarray(0, 500)
  harness.touch('go')
  expect(await job.finished()).toMatchObject({ state: 'success', logLength: job.log.length, logCrc: job.logCrc })
  expect(job.text).toMatch(/\n1000\n/)
})

test('sends the whole log again when it is told that the log is wrong', async () => {
  await using harness = await Harness.start('poll')
  const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go'))] })
  const runner = await harness.runner()
  await job.says('is ready\n')
  harness.box.fault(/PUT/, 412)
  job.log = Buffer.alloc(0)
  harness.touch('go')
  await runner.event('job.reported')
  expect(job.text).toContain('is ready\n')
  expect(job.report).toMatchObject({ logLength: job.log.length, logCrc: job.logCrc })
})

test('asks again while the final state is accepted but not complete', async () => {
  await using harness = await Harness.start('poll')
  const job = harness.box.add()
  job.treat.ackState = false
  const runner = await harness.runner()
  await job.until(() => job.reports.length === 3, 'a third final update')
  job.treat.ackState = true
  await runner.event('job.reported', ({ outcome }) => outcome === 'applied')
})

test('keeps the interval that the server asks for', async () => {
  await using harness = await Harness.start('poll')
  const script = ['echo first', waitFor(harness.file('a')), 'echo second', waitFor(harness.file('b')), 'echo third']
  const job = harness.box.add({ script })
  const runner = await harness.runner()
  await job.says('\nfirst\n')
  harness.box.traceInterval = { 'x-gitlab-trace-update-interval': '900' }
  harness.touch('a')
  await job.says('$ echo second')
  const patches = () => harness.box.requests.filter(({ method }) => method === 'PATCH').length
  const before = patches()
  harness.touch('b')
  // The end of the job does not wait for the interval.
  await runner.event('job.reported')
  expect(patches()).toBe(before + 1)
  expect(job.text).toContain('\nthird\n')
})

test('gives a sign of life for a job that has nothing to say', async () => {
  await using harness = await Harness.start('poll')
  const job = harness.box.add({ script: ['echo is ready', waitFor(harness.file('go'))] })
  await harness.runner({ traceIntervalMs: 20 })
  await job.says('is ready\n')
  const puts = () =>
    harness.box.requests.filter(({ method }) => method === 'PUT').map(({ body }) => JSON.parse(body.toString()))
  await harness.box.until(() => puts().length >= 3, 'two signs of life after the acceptance')
  expect(puts()[1]).toMatchObject({ state: 'running', output: { bytesize: job.log.length } })
  harness.touch('go')
  await job.finished()
})

for (const [status, what] of [
  [403, 'drops a job that is refused when it is accepted'],
  [404, 'drops a job that is gone when it is accepted'],
] as const) {
  test(what, async () => {
    await using harness = await Harness.start('poll')
    harness.box.fault(/PUT/, status)
    const job = harness.box.add({ script: [`touch '${harness.file('ran')}'`] })
    const runner = await harness.runner()
    await runner.event('job.abandoned')
    expect(job.reports).toEqual([])
    expect(harness.exists('ran')).toBe(false)
    await harness.spoolIsEmpty()
  })
}

test('runs a job all the same when its acceptance was answered strangely', async () => {
  await using harness = await Harness.start('poll')
  harness.box.fault(/PUT/, 409)
  const job = harness.box.add()
  await harness.runner()
  expect(await job.finished()).toMatchObject({ state: 'success' })
})

test('names a reason that the coordinator knows', async () => {
  await using harness = await Harness.start('poll')
  const features = { trace_sections: false, failure_reasons: ['script_failure'] }
  const refused = harness.box.add({ extra: { features, run: '[{}]' } })
  await harness.runner()
  expect(await refused.finished()).toMatchObject({ failureReason: 'script_failure' })
  const stopped = harness.box.add({
    script: ['echo is ready', 'while :; do echo on; sleep 0.05; done'],
    extra: { features },
  })
  await stopped.says('is ready\n')
  harness.box.cancel(stopped, 'graceful')
  expect(await stopped.finished()).toMatchObject({ failureReason: 'unknown_failure' })
})

test('says when a trace holds every command', async () => {
  await using harness = await Harness.start('poll')
  const job = harness.box.add({ script: ['echo hello'], variables: { CI_DEBUG_TRACE: 'true' } })
  await harness.runner()
  await job.finished()
  expect(job.text).toContain('\n+ echo hello\n')
  expect(harness.box.requests.some(({ path }) => path.endsWith('trace?debug_trace=true'))).toBe(true)
})

test('gives up when it is refused three times in a row', async () => {
  await using harness = await Harness.start('poll')
  const runner = await harness.runner()
  await runner.event('connected')
  harness.box.tokens.clear()
  harness.box.changed()
  harness.box.add()
  await expect(runner.handle.done).rejects.toMatchObject({ code: 'unauthorized' })
  expect(harness.box.requests.filter(({ path }) => path.endsWith('jobs/request')).length).toBeGreaterThanOrEqual(3)
})

test('says what is wrong with an address where no coordinator is, and takes one that ends with /ci', async () => {
  await using harness = await Harness.start('poll')
  const job = harness.box.add({ script: ['true'] })
  const elsewhere = http.createServer((_, response) => void response.end('<html>Welcome</html>'))
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  harness.onClose(() => void elsewhere.close())
  const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
  const lost = await harness.runner({ url })
  expect(await lost.event('disconnected')).toMatchObject({
    reason: expect.stringContaining(`is ${url}/ a coordinator`),
  })
  expect(lost.events.some(({ type }) => type === 'connected')).toBe(false)
  await lost.handle.close()
  const missing = await harness.runner({ url: `${harness.box.http}/nowhere` })
  expect(await missing.event('disconnected')).toMatchObject({ reason: expect.stringContaining('404') })
  await missing.handle.close()
  await harness.runner({ url: `${harness.box.http}/ci` })
  expect(await job.finished(), job.text).toMatchObject({ state: 'success' })
})
