import { expect, it } from 'vitest'
import { adminToken } from '../support/core.js'
import { onBothEngines } from '../support/stores.js'
import { commands, shell as runShell, statusOf as status } from '../support/training-document.js'
import { type ShimBox, startShimBox } from './support/box.js'

const shell = (box: ShimBox, script: string, env: Record<string, string>) => runShell(box.url, script, env)

const config = { test: { script: ['echo "doing something"'], tags: ['runner-job-lifecycle'] } }

onBothEngines((engine) => {
  it('serves the commands of the training document', async () => {
    await using box = await startShimBox(engine)
    const made = await box.admin('POST', '/projects', { json: { name: 'runner-job-lifecycle' } })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({ path_with_namespace: 'root/runner-job-lifecycle', default_branch: 'main' })
    box.core.configure(made.body, config)
    const runner = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'instance_type', tag_list: 'runner-job-lifecycle' },
    })
    expect(runner.status).toBe(201)
    expect(runner.body.token).toMatch(/^glrt-t1_/)
    const env = { RUNNER_TOKEN: runner.body.token as string }
    const idle = await shell(box, commands.request, env)
    expect(status(idle.head)).toBe(204)

    const pipeline = await box.admin('POST', `/projects/${made.body.id}/pipeline`, { json: { ref: 'main' } })
    expect(pipeline.status).toBe(201)
    const [pending] = (await box.admin('GET', `/projects/${made.body.id}/pipelines/${pipeline.body.id}/jobs`)).body
    expect(pending).toMatchObject({ status: 'pending', runner: null })
    const early = await box.send('GET', `/api/signalbox/v1/jobs/${pending.id}/token`, {
      headers: { Authorization: `Bearer ${adminToken}` },
    })
    expect(early.status).toBe(200)

    const taken = await shell(box, commands.request, env)
    expect(status(taken.head)).toBe(201)
    expect(taken.head).toMatch(/< Content-Type: application\/json/)
    const payload = JSON.parse(taken.payload)
    expect(payload).toMatchObject({ id: pending.id, token: early.body.token })
    const running = await box.admin('GET', `/projects/${made.body.id}/jobs/${pending.id}`)
    expect(running.body).toMatchObject({ status: 'running', runner: { id: runner.body.id } })

    const job = { job_id: String(payload.id), JOB_TOKEN: payload.token as string }
    const traced = await shell(box, commands.trace, job)
    expect(status(traced.head)).toBe(202)
    expect(traced.head).toMatch(/< Range: 0-48\r?\n/)
    const log = await box.admin('GET', `/projects/${made.body.id}/jobs/${payload.id}/trace`)
    expect(log.text).toBe('Hello! This is a job log update from the Runner.')

    const finished = await shell(box, commands.finish, job)
    expect(status(finished.head)).toBe(200)
    const after = await box.admin('GET', `/projects/${made.body.id}/jobs/${payload.id}`)
    expect(after.body).toMatchObject({ status: 'failed', failure_reason: 'script_failure' })
    expect(await box.job(payload.id)).toMatchObject({ status: 'failed', exit_code: 1 })
  })

  it('cancels a job whose manager can do so gracefully, as the training document does', async () => {
    await using box = await startShimBox(engine)
    const { project } = await box.run(config)
    const token = await box.runnerToken({ tags: 'runner-job-lifecycle' })
    const graceful = commands.request.replace('-v >', '-d "info[features][cancel_gracefully]=true" -v >')
    const taken = JSON.parse((await shell(box, graceful, { RUNNER_TOKEN: token })).payload)
    // A later poll that says nothing of its manager takes nothing back.
    expect((await shell(box, commands.request, { RUNNER_TOKEN: token })).payload).toBe('')
    const canceled = await box.admin('POST', `/projects/${project.id}/jobs/${taken.id}/cancel`)
    expect(canceled.status).toBe(201)
    expect(canceled.body.status).toBe('canceling')
    const job = { job_id: String(taken.id), JOB_TOKEN: taken.token as string }
    const traced = await shell(box, commands.trace, job)
    expect(status(traced.head)).toBe(202)
    expect(traced.head).toMatch(/< job-status: canceling\r?\n/i)
    const finished = await shell(box, commands.finish, job)
    expect(status(finished.head)).toBe(200)
    expect((await box.job(taken.id)).status).toBe('canceled')
  })
})
