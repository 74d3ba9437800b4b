/** The reference runner's caches at a real coordinator, which keeps them in a bucket: saved there, fetched from there. */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { executorNamed } from '../../src/cli/executor.js'
import { diskRooms } from '../../src/core/blobs/disk-blobs.js'
import { openS3Rooms } from '../../src/core/blobs/s3-blobs.js'
import { findTrace } from '../../src/core/store/traces.js'
import { startRunner } from '../../src/runner/start-runner.js'
import { ShimBox } from '../shim/support/box.js'
import { TestCore } from '../support/core.js'
import { eventually } from '../support/eventually.js'
import { ObjectStore } from '../support/s3.js'
import { openTestStore } from '../support/stores.js'

const config = {
  variables: { GIT_STRATEGY: 'empty' },
  build: {
    script: 'cat vendor/file || (mkdir vendor && echo "made by $CI_JOB_ID" > vendor/file)',
    cache: { key: '$CI_JOB_NAME', paths: ['vendor'] },
  },
}

it('saves a cache under one job and restores it for the next, until they are cleared', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-cache-service-'))
  await using s3 = await ObjectStore.start()
  const rooms = await openS3Rooms(s3.settings, diskRooms(folder))
  await using box = await new ShimBox(await new TestCore(await openTestStore('sqlite'), {}, rooms).start(), {}).start()
  const { core } = box.core
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const runner = await startRunner({
    url: box.url,
    token: await box.runnerToken(),
    transport: 'poll',
    executor: await executorNamed('shell', undefined, log),
    concurrency: 1,
    workDir: path.join(folder, 'work'),
    pollIntervalMs: 20,
    traceIntervalMs: 20,
    log,
  })
  try {
    const project = await box.core.project(config)
    const run = async () => {
      const pipeline = await box.core.pipeline(project)
      await eventually(async () => expect(await box.core.statuses(pipeline)).toEqual({ build: 'success' }))
      const job = await core.store.read.db
        .selectFrom('jobs')
        .select('id')
        .where('pipeline_id', '=', pipeline.id)
        .executeTakeFirstOrThrow()
      const { length } = (await findTrace(core.store.read, job.id))!
      return { id: job.id, text: (await core.traces.read(job.id, 0, length)).toString() }
    }
    const first = await run()
    expect(first.text).toContain('No cache is kept under build-protected')
    expect(first.text).toContain('Created cache')
    const second = await run()
    expect(second.text).toContain('Successfully extracted cache')
    expect(second.text).toContain(`made by ${first.id}\n`)
    expect(
      s3.requests.some((one) => one.startsWith('GET /ci-box/box/caches/') && one.includes('X-Amz-Signature')),
    ).toBe(true)
    await box.admin('POST', `/api/signalbox/v1/projects/${project.id}/clear-caches`)
    const third = await run()
    expect(third.text).toContain('No cache is kept under build-1-protected')
  } finally {
    await runner.close()
    rooms.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
