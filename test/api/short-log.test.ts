/** A log whose file has lost its end, by a fault of the disk or of a restore. */
import { readdirSync, truncateSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { startShimBox } from '../shim/support/box.js'
import { startJob } from '../shim/support/running-job.js'
import { adminToken } from '../support/core.js'

it('ends with what is left of the file', async () => {
  await using box = await startShimBox('sqlite')
  const job = await startJob(box)
  const text = 'a line of the log\n'.repeat(100)
  expect((await job.patch(`0-${text.length - 1}`, text)).status).toBe(202)
  expect((await job.put({ state: 'success' })).status).toBe(200)
  const folder = path.join(box.core.folder, 'traces')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  for (const file of files) truncateSync(path.join(file.parentPath, file.name), 180)
  const answer = await box.send('GET', `/api/signalbox/v1/jobs/${job.id}/log`, {
    headers: { 'PRIVATE-TOKEN': adminToken },
  })
  expect([answer.status, answer.text]).toEqual([200, text.slice(0, 180)])
})
