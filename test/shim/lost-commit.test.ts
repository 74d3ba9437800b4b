/** A runner whose coordinator loses the answer to a COMMIT: nothing acknowledged is lost, and nothing is told wrong. */
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { findArtifact } from '../../src/core/store/artifacts.js'
import { TestCore } from '../support/core.js'
import { onBothEngines, openProxiedStore } from '../support/stores.js'
import { ShimBox, startShimBox, until } from './support/box.js'
import { startJob } from './support/running-job.js'
import { zipOf } from './support/zip.js'

async function startProxiedBox(commitWaitMs = 5000) {
  const store = await openProxiedStore({ commitWaitMs })
  const box = await new ShimBox(await new TestCore(store, {}).start(), {}).start()
  return Object.assign(box, { proxy: store.proxy })
}

const files = async (box: ShimBox) => {
  const folder = path.join(box.core.folder, 'artifacts')
  const all = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return all.filter((one) => one.isFile()).length
}

it.each(['answer', 'request'] as const)('keeps an artifact whose COMMIT loses its %s', async (loss) => {
  await using box = await startProxiedBox()
  const job = await startJob(box)
  await job.patch('0-3', 'log\n')
  const zip = await zipOf({ 'a.txt': 'kept' })
  const lost = box.proxy.lose(loss, /insert into "artifacts"/)
  const first = await job.upload(zip)
  await lost
  expect(first.status).toBe(loss === 'answer' ? 201 : 503)
  if (loss === 'request') expect(first.headers.get('retry-after')).toBe('1')
  expect((await job.upload(zip)).status).toBe(201)
  expect((await job.download()).text).toBe(Buffer.from(zip).toString('utf8'))
  expect(await files(box)).toBe(1)
})

it('undoes nothing while what became of it is not known', async () => {
  await using box = await startProxiedBox(1500)
  const job = await startJob(box)
  await job.patch('0-3', 'log\n')
  const zip = await zipOf({ 'a.txt': 'kept' })
  void box.proxy.lose('answer', /insert into "artifacts"/).then(() => box.proxy.refuse())
  expect((await job.upload(zip)).status).toBe(503)
  await box.proxy.listen()
  expect((await job.upload(zip)).status).toBe(201)
  expect((await job.download()).text).toBe(Buffer.from(zip).toString('utf8'))
})

it('goes on with a log at its row after a commit of which nothing was known', async () => {
  await using box = await startProxiedBox(1500)
  const job = await startJob(box)
  await job.patch('0-3', 'one\n')
  void box.proxy.lose('answer', /update "traces"/).then(() => box.proxy.refuse())
  expect((await job.patch('4-7', 'two\n')).status).toBe(503)
  await box.proxy.listen()
  // The runner sends again what was not acknowledged, and is told how far the log goes.
  const again = await job.patch('4-7', 'two\n')
  expect([again.status, again.headers.get('range')]).toEqual([416, '0-8'])
  expect((await job.patch('8-12', 'three')).status).toBe(202)
  expect(await box.log(job.id)).toBe('one\ntwo\nthree')
})

it('covers a secret of which the first half was written by a session that is gone', async () => {
  await using box = await startProxiedBox(1500)
  const job = await startJob(box)
  const [half, rest] = [job.token.slice(0, 20), job.token.slice(20)]
  await job.patch(`0-${half.length - 1}`, half)
  void box.proxy.lose('answer', /update "traces"/).then(() => box.proxy.refuse())
  expect((await job.patch(`${half.length}-${half.length}`, rest.slice(0, 1))).status).toBe(503)
  await box.proxy.listen()
  await job.patch(`${half.length + 1}-${job.token.length - 1}`, rest.slice(1))
  expect(await box.log(job.id)).toBe('*'.repeat(job.token.length))
})

onBothEngines((engine) => {
  it('takes the bytes again that its disk has lost', async () => {
    await using box = await startShimBox(engine)
    const job = await startJob(box)
    await job.patch('0-3', 'log\n')
    const zip = await zipOf({ 'a.txt': 'kept' })
    expect((await job.upload(zip)).status).toBe(201)
    const { location } = (await findArtifact(box.core.core.store.read, job.id, 'archive'))!
    await rm(path.join(box.core.folder, 'artifacts', location))
    expect((await job.upload(zip)).status).toBe(201)
    await until(async () => (await files(box)) === 1)
    expect((await job.download()).text).toBe(Buffer.from(zip).toString('utf8'))
  })
})
