/** The key file is lost, or another one is in its place: the coordinator says so, and goes on only when it is told to. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import Database from 'better-sqlite3'
import { expect, it, vi } from 'vitest'
import { Coordinator, git, signalbox } from '../support/processes.js'

vi.setConfig({ testTimeout: 120_000 })

interface Job {
  id: number
  name: string
  status: string
  failure_reason?: string
}

it('refuses to start with another key, and fails what was sealed with the old one when told to go on', async () => {
  await using box = await Coordinator.start()
  const key = path.join(box.dataDir, 'key')
  await box.signalbox('project', 'create', 'team/app')
  const folder = await box.repository('team/app', { '.gitlab-ci.yml': 'wait: { script: "true" }\n' })
  await git(folder, 'push', '--quiet', 'origin', 'main')
  await box.kill()

  const refused = async (why: RegExp) => {
    const { code, stderr } = await signalbox(
      ['serve', '--data-dir', box.dataDir, '--http', '127.0.0.1:0', '--grpc', '127.0.0.1:0'],
      {},
    )
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(why) })
    expect(stderr).toContain(key)
  }
  renameSync(key, `${key}.kept`)
  await refused(/is not there/)
  expect(existsSync(key)).toBe(false)
  writeFileSync(key, `${Buffer.alloc(32, 3).toString('base64')}\n`, { mode: 0o600 })
  await refused(/is not the key file/)
  // As in a store of a version that kept no check value.
  const db = new Database(path.join(box.dataDir, 'signalbox.db'))
  db.prepare("delete from meta where key = 'key_check'").run()
  db.close()
  await refused(/is not the key file/)

  const other = readFileSync(key)
  renameSync(`${key}.kept`, key)
  await box.up()
  expect((await fetch(`${box.url}/-/ready`)).status).toBe(200)
  await box.kill()

  writeFileSync(key, other)
  await refused(/is not the key file/)
  const moved = await signalbox(['migrate', '--data-dir', box.dataDir, '--new-key'], {})
  expect(moved, moved.stderr).toMatchObject({ code: 0 })
  await box.up()
  expect((await fetch(`${box.url}/-/ready`)).status).toBe(200)
  await box.signalbox('pipeline', 'run', '--project', 'team/app', '--ref', 'main')
  const { stdout } = await box.signalbox('runner', 'create')
  const answer = await fetch(`${box.url}/api/v4/jobs/request`, {
    method: 'POST',
    body: new URLSearchParams({ token: stdout.trim() }),
  })
  const jobs = await box.api<Job[]>('GET', '/api/v4/projects/team%2Fapp/jobs')
  expect({ status: answer.status, id: ((await answer.json()) as Job).id }).toEqual({ status: 201, id: 2 })
  expect(jobs.find((job) => job.id === 1)).toMatchObject({
    status: 'failed',
    failure_reason: 'data_integrity_failure',
  })
})
