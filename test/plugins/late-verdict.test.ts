/** A configured classifier is asked by a real server after a job has failed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'

vi.setConfig({ testTimeout: 120_000 })

const classifier = `import { definePlugin } from 'signalbox/plugin'
export default definePlugin({ id: 'classifier.disk', apiVersion: 1, setup(host) {
  const full = { reason: 'runner_system_failure', class: 'capacity', retryable: true, explanation: 'The disk was full, says the plugin.' }
  host.classify('guess', () => ({ ...full, explanation: 'It is the weather.', confidence: 0.4 }))
  host.classify('disk', ({ exitCode, traceTail, attempts, facts }) => exitCode === 28
    ? { ...full, confidence: 0.8, lines: [traceTail.split('\\n')[0], attempts.length + ' before on ' + facts.platform] }
    : undefined)
} })`

it('amends class and explanation, keeps status and reason, and adds the retry that the policy allows', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signalbox-late-'))
  try {
    mkdirSync(path.join(folder, 'disk'))
    writeFileSync(path.join(folder, 'signalbox.toml'), '[[plugins]]\nuse = "./disk"\n')
    const manifest = {
      name: 'disk',
      type: 'module',
      exports: './index.js',
      signalbox: { apiVersion: 1, kind: 'classifier' },
    }
    writeFileSync(path.join(folder, 'disk', 'package.json'), JSON.stringify(manifest))
    writeFileSync(path.join(folder, 'disk', 'index.js'), classifier)
    await using box = await Coordinator.start({ flags: ['--config', path.join(folder, 'signalbox.toml')] })
    await box.signalbox('project', 'create', 'team/app')
    const retry = { max: 1, when: ['runner_system_failure'] }
    const files = { a: { script: 'x', retry, stage: 'build' }, b: { script: 'x' } }
    const clone = await box.repository('team/app', { '.gitlab-ci.yml': JSON.stringify(files) })
    await git(clone, 'push', '--quiet', 'origin', 'main')
    const { stdout } = await box.signalbox('runner', 'create')
    const fail = async (exitCode: number) => {
      const asked = await fetch(`${box.url}/api/v4/jobs/request`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token: stdout.trim(), info: { platform: 'linux', executor: 'shell' } }),
      })
      const { id, token } = (await asked.json()) as { id: number; token: string }
      const text = `write failed: attempt ${exitCode}\nend\n`
      const headers = { 'job-token': token, 'content-range': `0-${text.length - 1}` }
      await fetch(`${box.url}/api/v4/jobs/${id}/trace`, { method: 'PATCH', headers, body: text })
      const body = new URLSearchParams({
        token,
        state: 'failed',
        failure_reason: 'script_failure',
        exit_code: String(exitCode),
      })
      expect((await fetch(`${box.url}/api/v4/jobs/${id}`, { method: 'PUT', body })).status).toBe(200)
      return id
    }
    const first = await fail(28)
    const jobs = () =>
      box.api<{ id: number; name: string; status: string; failure_reason?: string }[]>(
        'GET',
        '/api/v4/projects/team%2Fapp/jobs?include_retried=true',
      )
    await eventually(async () => {
      const found = await jobs()
      expect(found.find(({ id }) => id === first)).toMatchObject({ status: 'failed', failure_reason: 'script_failure' })
      expect(found.filter(({ name }) => name === 'a')).toHaveLength(2)
      expect(found.find(({ name }) => name === 'b')).toMatchObject({ status: 'created' })
    })
    expect((await box.signalbox('job', 'why', String(first))).stdout).toContain('The disk was full, says the plugin.')
    // The policy allows one retry, whatever the plugin says of the second failure.
    const second = await fail(28)
    await eventually(async () => {
      expect((await box.signalbox('job', 'why', String(second))).stdout).toContain('says the plugin')
    })
    expect((await jobs()).filter(({ name }) => name === 'a')).toHaveLength(2)
    const failure = {
      reason: 'script_failure',
      class: 'capacity',
      explanation: 'The disk was full, says the plugin.',
      retryable: true,
      confidence: 0.8,
      decided_by: 'classifier.disk',
      lines: ['write failed: attempt 28', '1 before on linux'],
    }
    expect(await box.api('GET', `/api/signalbox/v1/jobs/${second}`)).toMatchObject({ status: 'failed', failure })
    expect(await box.api('GET', `/api/signalbox/v1/jobs/${second}/why`)).toMatchObject({ failure })
    const shown = (await box.signalbox('job', 'show', String(second))).stdout
    expect(shown).toContain(
      'why: The disk was full, says the plugin.\nclass: capacity (decided by classifier.disk, 80 % sure)',
    )
    expect(shown).toContain('  | write failed: attempt 28\n')
    // What is erased with the log is not told any more.
    await box.api('POST', `/api/v4/projects/team%2Fapp/jobs/${second}/erase`)
    expect(await box.api('GET', `/api/signalbox/v1/jobs/${second}`)).toMatchObject({
      failure: { ...failure, lines: [] },
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
