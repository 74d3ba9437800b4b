/** One pipeline with a child pipeline, a delayed job, a manual gate, a resource group and an automatic retry, to its end. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git, signalbox } from '../support/processes.js'

vi.setConfig({ testTimeout: 120_000 })

/** Each deployment writes down when it begins and ends; two at once would be seen. */
const deploy = (log: string) => ({
  stage: 'deploy',
  resource_group: 'production',
  script: [`echo begin >> '${log}'`, 'sleep 0.2', `echo end >> '${log}'`],
})

function files(scratch: string): Record<string, string> {
  const tried = path.join(scratch, 'tried')
  const log = path.join(scratch, 'deployments')
  return {
    '.gitlab-ci.yml': JSON.stringify({
      stages: ['build', 'test', 'deploy'],
      flaky: { stage: 'build', retry: 1, script: `test -e '${tried}' || { touch '${tried}'; exit 1; }` },
      later: { stage: 'test', when: 'delayed', start_in: '1 second', script: 'echo later' },
      child: { stage: 'test', trigger: { include: 'child.yml', strategy: 'depend' } },
      gate: { stage: 'test', when: 'manual', allow_failure: false, script: 'echo opened' },
      east: deploy(log),
      west: deploy(log),
    }),
    'child.yml': JSON.stringify({ inner: { script: `touch '${path.join(scratch, 'inner')}'` } }),
  }
}

const scratchFolder = () => mkdtempSync(path.join(os.tmpdir(), 'signalbox-whole-'))

function expectAllRan(scratch: string): void {
  const turns = readFileSync(path.join(scratch, 'deployments'), 'utf8').trim().split('\n')
  expect(turns).toEqual(['begin', 'end', 'begin', 'end'])
  expect(existsSync(path.join(scratch, 'inner'))).toBe(true)
}

it('runs to the end under signalbox run', async () => {
  const scratch = scratchFolder()
  try {
    const folder = path.join(scratch, 'repository')
    mkdirSync(folder)
    for (const [name, text] of Object.entries(files(scratch))) writeFileSync(path.join(folder, name), text)
    const names = ['flaky', 'later', 'child', 'gate', 'east', 'west']
    const done = await signalbox(['run', ...names], { cwd: folder })
    expect(done, done.stdout + done.stderr).toMatchObject({ code: 0 })
    for (const said of ['later', 'opened']) expect(done.stdout).toContain(said)
    expectAllRan(scratch)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
})

it('runs to the end under serve', async () => {
  const scratch = scratchFolder()
  try {
    await using box = await Coordinator.start()
    await box.runner('websocket', ['--concurrency', '2'])
    const folder = await box.repository('team/app', files(scratch))
    await git(folder, 'push', '--quiet', 'origin', 'main')
    const api = '/api/v4/projects/team%2Fapp'
    const jobs = () =>
      box.api<{ id: number; name: string; status: string }[]>('GET', `${api}/pipelines/1/jobs?include_retried=true`)
    const gate = await eventually(async () => {
      const job = (await jobs()).find((one) => one.name === 'gate')!
      expect(job.status).toBe('manual')
      return job
    })
    expect((await box.signalbox('job', 'play', String(gate.id), '--project', 'team/app')).code).toBe(0)
    const watched = await box.signalbox('pipeline', 'watch', '1', '--project', 'team/app', '--timeout', '90s')
    expect(watched, watched.stderr).toMatchObject({ code: 0 })
    const ended = (await jobs()).map(({ name, status }) => `${name} ${status}`).sort()
    expect(ended).toEqual([
      'east success',
      'flaky failed',
      'flaky success',
      'gate success',
      'later success',
      'west success',
    ])
    const bridges = await box.api<object[]>('GET', `${api}/pipelines/1/bridges`)
    expect(bridges).toMatchObject([{ name: 'child', status: 'success', downstream_pipeline: { status: 'success' } }])
    expectAllRan(scratch)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
})
