/** The restore drill: a coordinator is backed up while it works, lost, and goes on from the backup. */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git, signalbox } from '../support/processes.js'

vi.setConfig({ testTimeout: 120_000 })

interface Job {
  id: number
  name: string
  status: string
}

it('goes on from a backup that was made while jobs ran, and has lost nothing that was there before', async () => {
  await using box = await Coordinator.start()
  await box.runner('websocket', ['--concurrency', '2'])
  const gate = path.join(box.folder, 'gate')
  const folder = await box.repository('team/app', {
    '.gitlab-ci.yml': JSON.stringify({
      stages: ['one', 'two'],
      kept: { stage: 'one', script: ['echo kept > kept.txt', 'echo "said $WORD"'], artifacts: { paths: ['kept.txt'] } },
      long: { stage: 'one', script: ['echo begun', `while [ ! -e '${gate}' ]; do sleep 0.05; done`, 'echo ended'] },
      hand: { stage: 'one', script: 'true', tags: ['by-hand'] },
      last: { stage: 'two', script: ['cat kept.txt', 'test "$WORD" = secret-word'] },
    }),
  })
  await box.signalbox('project', 'create', 'team/app')
  const api = '/api/v4/projects/team%2Fapp'
  await box.api('POST', `${api}/variables`, { key: 'WORD', value: 'secret-word', masked: true })
  await git(folder, 'push', '--quiet', 'origin', 'main')
  const jobs = async () =>
    new Map((await box.api<Job[]>('GET', `${api}/pipelines/1/jobs`)).map((job) => [job.name, job]))
  const log = async (job: Job) => {
    const answer = await fetch(`${box.url}${api}/jobs/${job.id}/trace`, { headers: { 'PRIVATE-TOKEN': box.token } })
    return answer.text()
  }
  const byHand = await box.signalbox('runner', 'create', '--tags', 'by-hand')
  const poll = await eventually(async () => {
    const answer = await fetch(`${box.url}/api/v4/jobs/request`, {
      method: 'POST',
      body: new URLSearchParams({ token: byHand.stdout.trim() }),
    })
    expect(answer.status).toBe(201)
    return (await answer.json()) as { id: number; token: string }
  })
  await eventually(async () => {
    const now = await jobs()
    expect(now.get('kept')?.status).toBe('success')
    expect(await log(now.get('long')!)).toContain('begun')
  })

  const file = path.join(box.folder, 'backup.zip')
  const made = await box.signalbox('backup', file)
  expect(made, made.stderr).toMatchObject({ code: 0 })
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(box.dataDir).filter((name) => name.startsWith('backup-'))).toEqual([])
  expect(await box.signalbox('backup', file)).toMatchObject({ code: 5 })

  await box.kill()
  rmSync(box.dataDir, { recursive: true })
  const restored = await signalbox(['restore', file, '--data-dir', box.dataDir])
  expect(restored, restored.stderr).toMatchObject({ code: 0 })
  expect(await signalbox(['restore', file, '--data-dir', box.dataDir])).toMatchObject({ code: 5 })
  await box.up()

  // What a runner was given before the backup, it can end after it.
  const put = await fetch(`${box.url}/api/v4/jobs/${poll.id}`, {
    method: 'PUT',
    body: new URLSearchParams({ token: poll.token, state: 'success' }),
  })
  expect(put.status).toBe(200)
  writeFileSync(gate, '')
  const watched = await box.signalbox('pipeline', 'watch', '1', '--project', 'team/app', '--timeout', '90s')
  expect(watched, watched.stderr).toMatchObject({ code: 0 })
  const ended = await jobs()
  const statuses = Object.fromEntries([...ended.values()].map((job) => [job.name, job.status]))
  expect(statuses).toEqual({ hand: 'success', kept: 'success', last: 'success', long: 'success' })
  const long = await log(ended.get('long')!)
  expect(long.match(/^begun$/gm)).toHaveLength(1)
  expect(long).toContain('ended\n')
  expect(await log(ended.get('kept')!)).toContain('said')
  expect(await log(ended.get('kept')!)).not.toContain('secret-word')
  expect(await log(ended.get('last')!)).toContain('kept')
})

it('refuses to restore what is not a backup, and touches nothing', async () => {
  await using box = await Coordinator.start()
  const target = path.join(box.folder, 'target')
  const broken = path.join(box.folder, 'broken.zip')
  writeFileSync(broken, 'PK nothing')
  expect(await box.signalbox('restore', broken, '--data-dir', target)).toMatchObject({ code: 1 })
  expect(await box.signalbox('restore', path.join(box.folder, 'none'), '--data-dir', target)).toMatchObject({ code: 3 })
  mkdirSync(target)
  expect(readdirSync(target)).toEqual([])
})
