/** The worked table of queueing durations through the coordinator's own `/metrics`: a real server, a real runner on a stream. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it } from 'vitest'
import { readSettings } from '../../src/config/read.js'
import { inThisThread } from '../../src/core/ci-config/language.js'
import { QueueSli, readQueueObjective } from '../../src/core/queue-sli.js'
import { readAdminToken } from '../../src/data-folder.js'
import type { Executor } from '../../src/plugins/sdk.js'
import { startRunner } from '../../src/runner/start-runner.js'
import { startServer } from '../../src/server.js'
import { eventually } from '../support/eventually.js'
import { git } from '../support/processes.js'
import { queueVectors } from '../support/queue-vectors.js'

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** Runs nothing: its scripts succeed at once. */
const instant: Executor = {
  capabilities: () => ['variables', 'shared'],
  runner: {
    prepare: async () => ({ facts: {}, shell: 'bash' }),
    run: async () => ({ exitCode: 0, signal: null }),
    cancel: async () => undefined,
    cleanUp: async () => undefined,
  },
}

it('counts as the table says, with its series from the first job on', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-queue-'))
  const dataDir = path.join(folder, 'data')
  const flags = { dataDir, http: '127.0.0.1:0', grpc: '127.0.0.1:0' }
  const fatal = (error: unknown) => {
    throw error
  }
  const settings = readSettings({ flags, env: {}, cwd: folder })
  const server = await startServer({ settings, log: quiet, language: inThisThread, fatal })
  try {
    const { core, httpUrl } = server
    const token = readAdminToken(dataDir, { make: true, durable: false })
    const api = async <T>(method: string, at: string, body?: object): Promise<T> => {
      const headers = { 'private-token': token, 'content-type': 'application/json' }
      const answer = await fetch(`${httpUrl}/api${at}`, {
        method,
        headers,
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      if (!answer.ok) throw new Error(`${method} ${at}: ${answer.status} ${await answer.text()}`)
      return (await answer.json()) as T
    }
    const project = await api<{ id: number }>('POST', '/signalbox/v1/projects', { path: 'team/app' })
    const clone = path.join(folder, 'clone')
    mkdirSync(clone)
    writeFileSync(path.join(clone, '.gitlab-ci.yml'), 'variables: { GIT_STRATEGY: none }\na: { script: "true" }\n')
    await git(clone, 'init', '--quiet', '--initial-branch=main')
    await git(clone, 'add', '.')
    await git(clone, 'commit', '--quiet', '-m', 'first')
    const remote = httpUrl.replace('http://', `http://oauth2:${token}@`)
    await git(clone, 'push', '--quiet', '-o', 'ci.skip', `${remote}/team/app.git`, 'main')
    const runnerTokens = {
      instance: await api<{ token: string }>('POST', '/v4/user/runners', { runner_type: 'instance_type' }),
      project: await api<{ token: string }>('POST', '/v4/user/runners', {
        runner_type: 'project_type',
        project_id: project.id,
      }),
    }
    const run = async (kind: 'instance' | 'project') => {
      const runner = await startRunner({
        url: httpUrl,
        token: runnerTokens[kind].token,
        transport: 'websocket',
        executor: { name: 'instant', executor: instant },
        concurrency: 1,
        workDir: path.join(folder, kind),
        log: quiet,
        once: true,
      })
      await runner.done
      return runner.systemId
    }
    for (const { number, entries, now, waitedS, running, grows } of queueVectors) {
      const objectives = entries.map(({ thresholdS, pattern, periods }) =>
        readQueueObjective({
          periods,
          timezone: 'UTC',
          thresholdS,
          ...(pattern === undefined ? {} : { jobsRunningForProject: pattern }),
        }),
      )
      Object.assign(core, { queueSli: new QueueSli(objectives) })
      // Jobs wait as long as the table says, whatever this machine takes.
      let at = Date.parse(now) - waitedS * 1000
      core.clock.now = () => at
      await api('POST', `/v4/projects/${project.id}/pipeline`, { ref: 'main' })
      const others = running === '+Inf' ? 0 : Number.parseInt(running, 10)
      await core.store.write((tx) =>
        tx.db.updateTable('projects').set({ instance_jobs: others }).where('id', '=', project.id).execute(),
      )
      at = Date.parse(now)
      const systemId = await run(running === '+Inf' ? 'project' : 'instance')
      await eventually(async () => {
        const page = await (await fetch(`${httpUrl}/metrics`)).text()
        const lines = page
          .split('\n')
          .filter((line) => line.startsWith('gitlab_runner_acceptable_job_queuing_duration_exceeded_total{'))
        expect(lines, `vector ${number}`).toHaveLength(1)
        expect(lines[0], `vector ${number}`).toMatch(new RegExp(`system_id="${systemId}"\\} ${grows}$`))
      })
    }
  } finally {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}, 120_000)
