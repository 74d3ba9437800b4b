/**
 * The training document on the life of a job, stage by stage, against a coordinator that runs: its requests by curl as it
 * has them, its console by our commands. An hour of waiting is a second here, since every threshold is a setting.
 */
import { rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { eventually } from '../support/eventually.js'
import { Coordinator, git } from '../support/processes.js'
import { commands, shell, statusOf } from '../support/training-document.js'

vi.setConfig({ testTimeout: 60_000 })

const settings = `
[stuck]
pending = 0
running = "1s"
spacing = "1s"
[tasks]
stuck_ci_jobs = "0 0 1 1 *"
`

const config = `test:
  script:
    - echo "doing something"
  tags:
    - runner-job-lifecycle
`

let box: Coordinator
let runnerToken: string
let jobToken: string
const settingsFile = path.join(os.tmpdir(), `signalbox-training-${process.pid}.toml`)

async function cli(...args: string[]): Promise<string> {
  const done = await box.signalbox(...args)
  expect(done, `${args.join(' ')}: ${done.stderr}`).toMatchObject({ code: 0 })
  return done.stdout
}

const json = async (...args: string[]) => JSON.parse(await cli(...args, '--json'))
const jobOf = (id: number) => box.api<Job>('GET', `/api/v4/projects/1/jobs/${id}`)
const curl = (script: string, env: Record<string, string> = {}) =>
  shell(box.url, script, { RUNNER_TOKEN: runnerToken, ...env })

interface Job {
  id: number
  status: string
}

/** A new pipeline of the project. Gives its only job. */
async function newJob(): Promise<Job> {
  const { id } = await box.api<Job>('POST', '/api/v4/projects/1/pipeline', { ref: 'main' })
  const jobs = await box.api<Job[]>('GET', `/api/v4/projects/1/pipelines/${id}/jobs`)
  return jobs[0]!
}

async function takeByHand(): Promise<{ id: number; token: string }> {
  const { head, payload } = await curl(commands.request)
  expect(statusOf(head)).toBe(201)
  return JSON.parse(payload)
}

const task = async (name: string) =>
  (await box.api<Record<string, string | null>[]>('GET', '/api/signalbox/v1/tasks')).find((one) => one.name === name)!

beforeAll(async () => {
  writeFileSync(settingsFile, settings)
  box = await Coordinator.start({ flags: ['--config', settingsFile] })
})
afterAll(async () => {
  await box[Symbol.asyncDispose]()
  rmSync(settingsFile, { force: true })
})

describe('the training document', () => {
  it('stage 2: prepare the test system', async () => {
    runnerToken = (await cli('runner', 'create', '--tags', 'runner-job-lifecycle')).trim()
    expect(runnerToken).toMatch(/^glrt-t1_/)
    const folder = await box.repository('root/runner-job-lifecycle', { '.gitlab-ci.yml': config })
    await git(folder, 'push', '--quiet', '--push-option', 'ci.no_pipeline', 'origin', 'main')
    expect(await json('project', 'list')).toMatchObject([{ id: 1, path_with_namespace: 'root/runner-job-lifecycle' }])
  })

  it('stage 3: the runner asks, and the server answers', async () => {
    const verified = await fetch(`${box.url}/api/v4/runners/verify`, {
      method: 'POST',
      body: new URLSearchParams({ token: runnerToken }),
    })
    expect(verified.status).toBe(200)
    expect((await curl(commands.request.replace('$RUNNER_TOKEN', 'glrt-nobody'))).head).toMatch(/< HTTP\/1\.1 403/)
    expect(statusOf((await curl(commands.request)).head)).toBe(204)
  })

  it('stages 4 and 5: a job belongs to a pipeline, and stays created while nothing processes it', async () => {
    await cli('task', 'pause', 'initial_pipeline_process')
    const listed = await json('task', 'list')
    expect(listed).toContainEqual(expect.objectContaining({ name: 'initial_pipeline_process', paused: true }))
    expect(await newJob()).toMatchObject({
      id: 1,
      status: 'created',
      runner: null,
      pipeline: { id: 1, status: 'created' },
    })
    expect(statusOf((await curl(commands.request)).head)).toBe(204)
    expect(await cli('job', 'why', '1')).toMatch(/initial_pipeline_process/)
  })

  it('stage 6: the token is there before the job is pending, and the worker makes it so', async () => {
    jobToken = (await cli('job', 'token', '1')).trim()
    expect(jobToken).toMatch(/^glcbt-/)
    expect(await jobOf(1)).toMatchObject({ status: 'created' })
    await cli('task', 'resume', 'initial_pipeline_process')
    expect(await task('initial_pipeline_process')).toMatchObject({ paused: false, last_result: '1 pipelines' })
    expect(await jobOf(1)).toMatchObject({ status: 'pending' })
    expect(await cli('inspect', 'job', '1')).toMatch(/enqueue\s+created → pending\s+server/)
  })

  it('stage 7: a job is running from the moment that it is handed out', async () => {
    const payload = await takeByHand()
    const { token } = payload
    expect(token).toBe(jobToken)
    expect(payload).toMatchObject({
      id: 1,
      git_info: { repo_url: expect.stringContaining('runner-job-lifecycle.git'), ref: 'main' },
      runner_info: { timeout: 3600 },
      variables: expect.arrayContaining([expect.objectContaining({ key: 'CI_JOB_TOKEN', value: token, masked: true })]),
    })
    expect(await jobOf(1)).toMatchObject({ status: 'running', runner: { id: 1 } })
    expect(statusOf((await curl(commands.request)).head)).toBe(204)
  })

  it('stage 8: the log grows by what the runner sends', async () => {
    const { head } = await curl(commands.trace, { job_id: '1', JOB_TOKEN: jobToken })
    expect(statusOf(head)).toBe(202)
    expect(head).toMatch(/< job-status: running\r?\n/i)
    expect(head).toMatch(/< range: 0-48\r?\n/i)
    expect(await cli('job', 'log', '1')).toContain('Hello! This is a job log update from the Runner.')
  })

  it('stages 9 and 10: the runner fails the job, the pipeline follows, and the work after the end is done', async () => {
    const env = { job_id: '1', JOB_TOKEN: jobToken }
    expect(statusOf((await curl(commands.finish, env)).head)).toBe(200)
    expect(await jobOf(1)).toMatchObject({
      status: 'failed',
      failure_reason: 'script_failure',
      pipeline: { status: 'failed' },
    })
    // The token has ended with the job.
    const late = await curl(commands.trace, env)
    expect(statusOf(late.head)).toBe(403)
    expect(late.head).toMatch(/< job-status: failed\r?\n/i)
  })

  it.each([
    ['script_failure', 'script_failure'],
    ['runner_system_failure', 'runner_system_failure'],
    ['job_execution_timeout', 'job_execution_timeout'],
    ['unknown_failure', 'unknown_failure'],
    ['image_pull_failure', 'unknown_failure'],
    ['stuck_or_timeout_failure', 'unknown_failure'],
  ])('stage 9: a runner that says %s leaves %s', async (said, kept) => {
    const { id } = await newJob()
    const { token } = await takeByHand()
    const put = commands.finish.replace('failure_reason=script_failure" \\', `failure_reason=${said}" \\`)
    expect(statusOf((await curl(put, { job_id: String(id), JOB_TOKEN: token })).head)).toBe(200)
    expect(await jobOf(id)).toMatchObject({ status: 'failed', failure_reason: kept })
  })

  it('stage 11: a job that is stuck at pending fails', async () => {
    const { id } = await newJob()
    expect(await jobOf(id)).toMatchObject({ status: 'pending' })
    await cli('task', 'run', 'stuck_ci_jobs')
    expect(await jobOf(id)).toMatchObject({ status: 'failed', failure_reason: 'stuck_or_timeout_failure' })
  })

  it('stage 11: a job that is stuck at running fails with the part that follows', async () => {
    const { id } = await newJob()
    expect((await takeByHand()).id).toBe(id)
    expect(await jobOf(id)).toMatchObject({ status: 'running' })
    await cli('task', 'run', 'stuck_ci_jobs')
    // Nobody runs the part by hand: the sweep has put it off, and it comes by itself.
    await eventually(async () =>
      expect(await jobOf(id)).toMatchObject({ status: 'failed', failure_reason: 'stuck_or_timeout_failure' }),
    )
    await eventually(async () => expect((await task('drop_running')).last_result).toMatch(/1/))
  })

  it('stage 11: a job is canceled gracefully once its manager can do that', async () => {
    const { id } = await newJob()
    const { token } = await takeByHand()
    // The document sets the feature on the manager's row; here the manager says so itself.
    const asks = commands.request.replace('-v >', '-d "info[features][cancel_gracefully]=true" -v >')
    expect(statusOf((await curl(asks)).head)).toBe(204)
    await cli('job', 'cancel', String(id), '--project', '1')
    expect(await jobOf(id)).toMatchObject({ status: 'canceling' })
    const env = { job_id: String(id), JOB_TOKEN: token }
    const traced = await curl(commands.trace, env)
    expect(statusOf(traced.head)).toBe(202)
    expect(traced.head).toMatch(/< job-status: canceling\r?\n/i)
    expect(statusOf((await curl(commands.finish, env)).head)).toBe(200)
    expect(await jobOf(id)).toMatchObject({ status: 'canceled' })
  })
})
