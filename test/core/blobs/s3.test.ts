import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { diskRooms } from '../../../src/core/blobs/disk-blobs.js'
import { openS3Rooms } from '../../../src/core/blobs/s3-blobs.js'
import { findArtifact } from '../../../src/core/store/artifacts.js'
import { ShimBox } from '../../shim/support/box.js'
import { startJob } from '../../shim/support/running-job.js'
import { zipOf } from '../../shim/support/zip.js'
import { TestCore } from '../../support/core.js'
import { eventually } from '../../support/eventually.js'
import { ObjectStore } from '../../support/s3.js'
import { openTestStore } from '../../support/stores.js'

const mebibyte = 1024 * 1024
const big = 1024 * mebibyte

let s3: ObjectStore
let folder: string
let rooms: Awaited<ReturnType<typeof openS3Rooms>>
beforeAll(async () => {
  s3 = await ObjectStore.start()
  folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-blobs-'))
  rooms = await openS3Rooms(s3.settings, diskRooms(folder))
})
afterAll(async () => {
  rooms.close()
  await s3[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fine',
    (error) => error.code ?? error.message,
  )

describe('blobs in a bucket', () => {
  it('go up in parts as they come, and down whole or in ranges', async () => {
    const hash = createHash('sha256')
    async function* pieces() {
      for (let i = 0; i < 20; i++) {
        const piece = Buffer.alloc(mebibyte, i)
        hash.update(piece)
        yield piece
      }
    }
    const blob = await rooms.artifacts.store(Readable.from(pieces()), big)
    expect([blob.sizeBytes, blob.sha256]).toEqual([20 * mebibyte, hash.digest('hex')])
    expect(blob.location).toMatch(/^s3:box\/artifacts\/[0-9a-f]{2}\/[0-9a-f]{32}$/)
    expect(s3.requests.filter((one) => /partNumber=\d/.test(one))).toHaveLength(3)
    const whole = await buffer(rooms.artifacts.open(blob.location))
    expect(createHash('sha256').update(whole).digest('hex')).toBe(blob.sha256)
    const range = { start: mebibyte - 1, end: mebibyte }
    expect([...(await buffer(rooms.artifacts.open(blob.location, range)))]).toEqual([0, 1])
    expect(await rooms.artifacts.exists(blob.location)).toBe(true)
    await rooms.artifacts.remove(blob.location)
    await rooms.artifacts.remove(blob.location)
    expect(await rooms.artifacts.exists(blob.location)).toBe(false)
    await expect(buffer(rooms.artifacts.open(blob.location))).rejects.toThrow()
  })

  it('are not there when they are too large or break off', async () => {
    const before = s3.requests.length
    const large = () => Readable.from([Buffer.alloc(9 * mebibyte), Buffer.alloc(9 * mebibyte)])
    expect(await codeOf(rooms.caches.store(large(), 17 * mebibyte))).toBe('too_large')
    expect(await codeOf(rooms.caches.store(large(), 5))).toBe('too_large')
    const broken = Readable.from(
      (async function* () {
        yield Buffer.alloc(10)
        throw new Error('cut off')
      })(),
    )
    expect(await codeOf(rooms.caches.store(broken, big))).toBe('cut off')
    const done = s3.requests
      .slice(before)
      .filter((one) => /^(PUT \/ci\/[^?]*(\?x-id=PutObject)?$|POST .*uploadId=)/.test(one))
    expect(done).toEqual([])
  })

  it('stay readable that were kept on disk before', async () => {
    const { artifacts } = diskRooms(folder)
    const { location } = await artifacts.store(Readable.from([Buffer.from('on disk')]), big)
    expect((await buffer(rooms.artifacts.open(location, { start: 3, end: 6 }))).toString()).toBe('disk')
    expect(await rooms.artifacts.exists(location)).toBe(true)
    expect(await rooms.artifacts.link?.(location, 'x')).toBeUndefined()
    await rooms.artifacts.remove(location)
    expect(await rooms.artifacts.exists(location)).toBe(false)
  })

  it('are unavailable while nobody answers', async () => {
    const away = await openS3Rooms({ ...s3.settings, endpoint: 'http://127.0.0.1:9' }, diskRooms(folder))
    expect(await codeOf(away.artifacts.store(Readable.from([Buffer.from('x')]), big))).toBe('unavailable')
    expect(await codeOf(away.artifacts.exists('s3:box/artifacts/aa/x'))).toBe('unavailable')
    expect(await codeOf(away.artifacts.remove('s3:box/artifacts/aa/x'))).toBe('unavailable')
    expect(await codeOf(buffer(away.artifacts.open('s3:box/artifacts/aa/x')))).toBe('unavailable')
    away.close()
  })

  it('are given up when the service takes a request and says nothing', async () => {
    const silent = http.createServer(() => undefined)
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const slow = await openS3Rooms({ ...s3.settings, endpoint }, diskRooms(folder), 50)
    expect(await codeOf(slow.artifacts.store(Readable.from([Buffer.from('x')]), big))).toBe('unavailable')
    expect(await codeOf(slow.artifacts.exists('s3:box/artifacts/aa/x'))).toBe('unavailable')
    slow.close()
    silent.closeAllConnections()
    await new Promise((resolve) => silent.close(resolve))
  })
})

it('serve artifacts and caches of jobs, from the bucket itself where that was asked for', async () => {
  await using box = await new ShimBox(await new TestCore(await openTestStore('sqlite'), {}, rooms).start(), {}).start()
  const job = await startJob(box)
  const many = Array.from({ length: 300 }, (_, i) => [`many/${i}`, randomBytes(1000).toString('latin1')])
  const zip = await zipOf({ 'out/a.txt': 'made by a job', ...Object.fromEntries(many) })
  expect((await job.upload(zip)).status).toBe(201)
  const own = `/jobs/${job.id}/artifacts`
  const headers = { 'JOB-TOKEN': job.token }
  const plain = await fetch(`${box.url}/api/v4${own}`, { headers })
  expect([plain.status, Buffer.from(await plain.arrayBuffer()).equals(zip)]).toEqual([200, true])
  const part = await box.send('GET', own, { headers: { ...headers, Range: 'bytes=0-1' } })
  expect([part.status, part.text]).toEqual([206, 'PK'])
  const direct = await job.download()
  expect(direct.status).toBe(302)
  const link = new URL(direct.headers.get('location')!)
  expect([link.origin, link.searchParams.get('X-Amz-Expires')]).toEqual([s3.settings.endpoint, '600'])
  const fetched = await fetch(link, { headers: { Range: 'bytes=0-1' } })
  expect([fetched.status, await fetched.text()]).toEqual([206, 'PK'])
  expect(fetched.headers.get('content-disposition')).toContain('attachment')
  const url = `/projects/${job.projectId}/jobs/${job.id}`
  const before = s3.requests.length
  const tree = await box.admin('GET', `${url}/artifacts/tree?recursive=true&per_page=100`)
  expect(tree.body.length).toBe(100)
  // Whether it is there, the end and the directory of the archive: not a request for each of its entries.
  expect(s3.requests.length - before).toBeLessThan(6)
  expect((await box.admin('GET', `${url}/artifacts/out/a.txt`)).text).toBe('made by a job')

  const cache = `/api/signalbox/v1/jobs/${job.id}/caches?key=a`
  expect((await box.send('PUT', cache, { headers, body: 'kept' })).status).toBe(201)
  const restored = await box.send('GET', cache, { headers })
  expect(restored.status).toBe(302)
  expect(await (await fetch(restored.headers.get('location')!)).text()).toBe('kept')

  const { location } = (await findArtifact(box.core.core.store.read, job.id, 'archive'))!
  await job.put({ state: 'success' })
  expect((await box.admin('POST', `${url}/erase`)).status).toBe(201)
  await eventually(async () => expect(await rooms.artifacts.exists(location)).toBe(false))
})
