/**
 * What executors of others can do wrong beside a runner: the runner stays the same process and goes on, says in its log who
 * was at fault, and runs the next jobs. The suite has some faults; `SIGNALBOX_TEST_LONG` has all of them, and writes the
 * column of docs/plugins.md to the file that `SIGNALBOX_FAULT_TABLE` names.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'
import { blames, faultySource } from './support/faulty.js'

const long = process.env.SIGNALBOX_TEST_LONG === '1'
vi.setConfig({ testTimeout: 180_000 })

/** Where a script hangs, the job's own timeout ends it, and nobody else is to blame. */
const ownTimeout = new Set(['hangs'])
const some = ['throws-at-load', 'throws-in-call', 'exits', 'answers-nonsense']
const all = Object.keys(blames).filter((fault) => !ownTimeout.has(fault))

it.each(long ? all : some)('a runner goes on whose executor %s', async (fault) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-runner-fault-'))
  try {
    const home = path.join(folder, 'faulty')
    mkdirSync(home)
    const signalbox = { apiVersion: 1, kind: 'executor', permissions: ['child-process', 'fs-read', 'fs-write'] }
    writeFileSync(path.join(home, 'package.json'), JSON.stringify({ type: 'module', main: 'index.js', signalbox }))
    writeFileSync(path.join(home, 'index.js'), faultySource(fault, 'executor', 'runner'))
    const settings = path.join(folder, 'signalbox.toml')
    writeFileSync(settings, '[[plugins]]\nuse = "./faulty"\n')
    await using box = await Coordinator.start()
    const retry = { max: 2, when: ['runner_system_failure', 'unknown_failure'] }
    const file = JSON.stringify({ job: { script: 'echo well', retry } })
    const clone = await box.repository('team/app', { '.gitlab-ci.yml': file })
    const runner = await box.runner('websocket', [
      '--executor',
      fault,
      '--config',
      settings,
      '--metrics',
      '127.0.0.1:0',
    ])
    let log = ''
    const heard: [number, string][] = []
    runner.stderr?.on('data', (chunk) => {
      log += String(chunk)
      heard.push([Date.now(), log])
    })
    const ended = vi.fn()
    runner.on('exit', ended)
    await git(clone, 'push', '--quiet', 'origin', 'main')
    const pipeline = () => box.api<{ status: string }>('GET', '/api/v4/projects/1/pipelines/1')
    await eventually(async () => expect((await pipeline()).status).toBe('success'))
    const wellAt = Date.now()
    expect(ended).not.toHaveBeenCalled()
    const page = await (await fetch(/"url":"(http:[^"]+\/metrics)"/.exec(log)![1]!)).text()
    expect(page).toMatch(/^gitlab_runner_jobs_total/m)
    const figure = (name: string) =>
      Number(new RegExp(`^signalbox_plugin_${name}{plugin="executor\\.[\\w-]*${fault}"} (\\d+)`, 'm').exec(page)?.[1])
    expect(figure('up'), page).toBe(1)
    if (fault === 'throws-in-call' || fault === 'answers-nonsense') expect(figure('failures_total')).toBeGreaterThan(0)
    const been = path.join(box.folder, 'work-websocket/plugins/faulty/been')
    expect(existsSync(been)).toBe(true)
    const at = Number(readFileSync(been, 'utf8'))
    const blame = blames[fault]
    const blamed = heard.find(([, text]) => text.includes('faulty') || text.includes(`executor.${fault}`))
    if (blame) {
      expect(log).toMatch(blame)
      expect(blamed).toBeDefined()
    }
    const named = heard.find(([, text]) => blame?.test(text))
    const seconds = (ms: number) => (ms / 1000).toFixed(1)
    if (process.env.SIGNALBOX_FAULT_TABLE) {
      const shown = named ? seconds(Math.max(0, named[0] - at)) : '–'
      appendFileSync(process.env.SIGNALBOX_FAULT_TABLE, `${fault} ${shown} / ${seconds(wellAt - at)} s\n`)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
