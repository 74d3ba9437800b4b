/** Nobody but its user reads what a coordinator keeps. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'

/** Every file and folder below that others could read or write, by its path and mode. */
const openToOthers = (folder: string) =>
  execFileSync('find', [folder, '!', '-type', 'l', '-perm', '/077', '-printf', '%P %m\n'], { encoding: 'utf8' })

it('writes everything for its own user, and takes from others what they could read before', async () => {
  await using box = await Coordinator.start()
  const work = await box.repository('root/app', {
    '.gitlab-ci.yml': 'job:\n  script: echo kept > kept\n  artifacts: {paths: [kept]}\n',
  })
  await git(work, 'push', '--quiet', 'origin', 'main')
  const runner = await box.runner('websocket')
  const [{ id }] = await box.api<[{ id: number }]>('GET', '/api/v4/projects/root%2Fapp/pipelines')
  const watched = await box.signalbox('pipeline', 'watch', String(id), '--project', 'root/app')
  expect(watched.code).toBe(0)
  runner.kill()
  expect(openToOthers(box.dataDir)).toBe('')
  expect(statSync(path.join(box.folder, 'ready.json')).mode & 0o777).toBe(0o644)

  await box.stop()
  chmodSync(box.dataDir, 0o755)
  chmodSync(path.join(box.dataDir, 'signalbox.db'), 0o644)
  chmodSync(path.join(box.dataDir, 'repositories'), 0o755)
  writeFileSync(path.join(box.dataDir, 'key.bak'), readFileSync(path.join(box.dataDir, 'key')), { mode: 0o644 })
  mkdirSync(path.join(box.dataDir, 'old'), { mode: 0o755 })
  await box.up()
  expect(openToOthers(box.dataDir)).toBe('')
  const told = await eventually(() => /^.*others could read these.*$/m.exec(box.stderr)![0])
  expect(JSON.parse(told).files).toEqual(
    expect.arrayContaining([
      box.dataDir,
      ...['signalbox.db', 'repositories', 'key.bak', 'old'].map((name) => path.join(box.dataDir, name)),
    ]),
  )
})
