/** What an executor's plugin did not say at first is asked again, of runners that poll and of those on streams, which stay connected. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'

/** Fails until a file of its folder tells it not to, and counts how often it was asked. */
const source = `
import fs from 'node:fs'
import { definePlugin } from 'signalbox/plugin'
const half = { async prepare() { return { facts: {}, shell: 'bash' } }, async run() { return { exitCode: 0, signal: null } },
  async cancel() {}, async cleanUp() {} }
export default definePlugin({ id: 'executor.late', apiVersion: 1, setup(host) {
  host.executor('late', { runner: half, capabilities() {
    if (fs.existsSync('runner')) return []
    if (!fs.existsSync('go')) { fs.appendFileSync('asked', '.'); throw new Error('not yet') }
    return ['vault_secrets']
  } })
} })`

async function start() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-late-'))
  const home = path.join(folder, 'late')
  mkdirSync(home)
  const signalbox = { apiVersion: 1, kind: 'executor' }
  writeFileSync(path.join(home, 'package.json'), JSON.stringify({ type: 'module', main: 'index.js', signalbox }))
  writeFileSync(path.join(home, 'index.js'), source)
  const settings = path.join(folder, 'signalbox.toml')
  writeFileSync(settings, '[[plugins]]\nuse = "./late"\n')
  const box = await Coordinator.start({ flags: ['--config', settings] })
  const secret = { KEY: { vault: 'a/b' } }
  const file = JSON.stringify({
    variables: { VAULT_SERVER_URL: 'http://vault' },
    job: { secrets: secret, script: 'true' },
  })
  const clone = await box.repository('team/app', { '.gitlab-ci.yml': file })
  await git(clone, 'push', '--quiet', 'origin', 'main')
  return {
    box,
    settings,
    /** The folder that the coordinator's copy works in. */
    work: path.join(box.dataDir, 'plugins/late'),
    async [Symbol.asyncDispose]() {
      await box[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const status = async (box: Coordinator) =>
  (await box.api<{ status: string }>('GET', '/api/v4/projects/1/jobs/1')).status

it('of a runner that polls', async () => {
  await using late = await start()
  const { box } = late
  const token = (await box.signalbox('runner', 'create')).stdout.trim()
  const features = { variables: true, artifacts: true, refspecs: true, masking: true }
  const poll = async () => {
    const info = { executor: 'late', platform: 'linux', architecture: 'amd64', features }
    const body = JSON.stringify({ token, system_id: 's_1', info })
    const headers = { 'content-type': 'application/json' }
    return (await fetch(`${box.url}/api/v4/jobs/request`, { method: 'POST', headers, body })).status
  }
  expect(await poll()).toBe(204)
  expect(existsSync(path.join(late.work, 'asked'))).toBe(true)
  writeFileSync(path.join(late.work, 'go'), '')
  await eventually(async () => expect(await poll()).toBe(201))
})

it('of a runner on a stream', async () => {
  await using late = await start()
  const { box } = late
  // Its own copy of the plugin adds nothing.
  const own = path.join(box.folder, 'work-websocket/plugins/late')
  mkdirSync(own, { recursive: true })
  writeFileSync(path.join(own, 'runner'), '')
  await box.runner('websocket', ['--executor', 'late', '--config', late.settings])
  await eventually(() => expect(existsSync(path.join(late.work, 'asked'))).toBe(true))
  expect(await status(box)).toBe('pending')
  writeFileSync(path.join(late.work, 'go'), '')
  await eventually(async () => expect(await status(box)).not.toBe('pending'))
})
