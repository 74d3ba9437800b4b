/**
 * The coordinator is killed at random moments of a running pipeline and started again. The pipeline completes, its logs are
 * whole, no job was ever owned twice, and none went back to the queue.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, expect, it } from 'vitest'
import { some } from '../support/long.js'
import { Coordinator, git } from '../support/processes.js'

const lines = 150
const script = `for i in $(seq 1 ${lines}); do echo "line $i of $CI_JOB_NAME"; sleep 0.02; done`
const config = JSON.stringify({
  stages: ['one', 'two'],
  a: { stage: 'one', script, artifacts: { paths: ['kept.txt'] }, before_script: ['echo kept > kept.txt'] },
  b: { stage: 'one', script },
  c: { stage: 'two', script: ['test "$(cat kept.txt)" = kept', script] },
})

const kills = process.env.SIGNALBOX_TEST_LONG ? 10 : 3

// A kill between an offer and its acceptance voids the offer; with the defaults the only runner would be passed over for a minute.
const settingsFile = path.join(mkdtempSync(path.join(os.tmpdir(), 'signalbox-kill-')), 'signalbox.toml')
writeFileSync(settingsFile, '[leases]\nstream_accept_within = "2s"\npoll_accept_within = "2s"\nexcluded_for = "1s"\n')
afterAll(() => rmSync(path.dirname(settingsFile), { recursive: true }))

// At the same time: each waits most of its time for its own processes.
it.concurrent.each(some(2, ['websocket', 'poll', 'grpc'] as const))(
  'survives being killed again and again while a runner works over %s',
  async (transport) => {
    await using box = await Coordinator.start({ flags: ['--config', settingsFile] })
    await box.runner(transport, ['--concurrency', '2'])
    const folder = await box.repository('team/app', { '.gitlab-ci.yml': config })
    await git(folder, 'push', '--quiet', 'origin', 'main')
    for (let i = 0; i < kills; i++) {
      // A moment that nothing in the program knows of: this is the fault, not a wait for something.
      await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 1300))
      await box.kill()
      await box.up()
    }
    const watched = await box.signalbox('pipeline', 'watch', '1', '--timeout', '100s')
    expect(watched, watched.stderr).toMatchObject({ code: 0 })
    for (const [i, name] of ['a', 'b', 'c'].entries()) {
      const { stdout } = await box.signalbox('job', 'log', String(i + 1))
      const said = stdout.split('\n').filter((line) => line.startsWith('line '))
      expect(said).toEqual(Array.from({ length: lines }, (_, line) => `line ${line + 1} of ${name}`))
      expect(stdout).toContain('Job succeeded')
    }
    await box.stop()
    checkHistory(path.join(box.dataDir, 'signalbox.db'))
  },
  180_000,
)

/** What the store says happened: each job was held by one lease, and no status was taken back. */
function checkHistory(file: string): void {
  const db = new Sqlite(file, { readonly: true })
  const held = db
    .prepare('select job_id, count(*) as n from leases where accepted_at is not null group by job_id')
    .all()
  expect(held).toEqual([1, 2, 3].map((id) => ({ job_id: id, n: 1 })))
  const changes = db
    .prepare("select job_id, data from events where kind in ('job.changed', 'job.finished') order by id")
    .all() as { job_id: number; data: string }[]
  for (const id of [1, 2, 3]) {
    const path = changes.filter((change) => change.job_id === id).map((change) => JSON.parse(change.data).to)
    expect(path).toEqual(['pending', 'running', 'success'])
  }
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
  db.close()
}

it('refuses a second coordinator on the same folder, which harms nothing', async () => {
  await using box = await Coordinator.start()
  const second = await box.signalbox(
    'serve',
    '--data-dir',
    box.dataDir,
    '--http',
    '127.0.0.1:0',
    '--grpc',
    '127.0.0.1:0',
  )
  expect(second.code).toBe(75)
  expect(second.stderr).toContain('another signalbox holds')
  expect(second.stdout).toBe('')
  const answer = await fetch(`${box.url}/-/ready`)
  expect(answer.status).toBe(200)
})

it('starts again after a stop, and ends with 0 within ten seconds while a job runs', async () => {
  await using box = await Coordinator.start()
  await box.runner('websocket')
  const folder = await box.repository('team/app', {
    '.gitlab-ci.yml': JSON.stringify({
      slow: { script: ['echo begun', 'while [ ! -e "$CI_BUILDS_DIR/../go" ]; do sleep 0.05; done', 'echo done'] },
    }),
  })
  await git(folder, 'push', '--quiet', 'origin', 'main')
  const { stdout } = await box.signalbox('pipeline', 'list', '--project', 'team/app', '--json')
  const [{ id }] = JSON.parse(stdout)
  for (let status = ''; status !== 'running'; )
    status = (await box.api<{ status: string }>('GET', '/api/signalbox/v1/jobs/1')).status
  expect(await box.stop()).toBe(0)
  await box.up()
  writeFileSync(path.join(box.folder, 'work-websocket', 'go'), '')
  expect((await box.signalbox('pipeline', 'watch', String(id), '--timeout', '60s')).code).toBe(0)
})
