/** Coordinators that share an address: where a request belongs can be told without its body. */
import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { cellOf } from '../../src/core/tokens/cell.js'
import { mintToken } from '../../src/core/tokens/token.js'
import { oneJob, startShimBox } from './support/box.js'
import { RunningJob } from './support/running-job.js'

const random = { bytes: (count: number) => randomBytes(count), next: () => Math.random() }

it('names the cell in each token and queue value, behind nine random characters', async () => {
  await using box = await startShimBox('sqlite', { holdMs: 0 }, { cell: 71 })
  const runner = await box.admin('POST', '/user/runners', { json: { runner_type: 'instance_type' } })
  const { token } = runner.body
  expect(token).toMatch(/^glrt-t1_[\w-]{27,300}\.01\.[0-9a-z]{2}[0-9a-z]{7}$/)
  const another = await box.admin('POST', '/user/runners', { json: { runner_type: 'instance_type' } })
  expect(another.body.token.slice(8, 17)).not.toBe(token.slice(8, 17))
  const idle = await box.poll(token)
  const value = idle.headers.get('x-gitlab-last-update')!
  expect([idle.status, cellOf(token), cellOf(value)]).toEqual([204, 71, 71])
  expect((await box.poll(token, { last_update: value })).status).toBe(204)

  const { project } = await box.run(oneJob)
  const { body } = await box.poll(token)
  expect(cellOf(body.token)).toBe(71)
  const job = new RunningJob(box, { id: body.id, token: body.token, projectId: project.id, runnerToken: token })
  expect((await job.patch('0-2', 'log')).status).toBe(202)
  const made = await box.admin('POST', '/user/personal_access_tokens', { json: { name: 'x', scopes: ['api'] } })
  expect(cellOf(made.body.token)).toBe(71)
  const user = await box.send('GET', '/user', { headers: { 'PRIVATE-TOKEN': made.body.token } })
  expect(user.status).toBe(200)
})

it('has what was sent astray tried again, and refuses what is wrong', async () => {
  await using here = await startShimBox('sqlite', { holdMs: 0 }, { cell: 1 })
  await using there = await startShimBox('sqlite', { holdMs: 0 }, { cell: 2 })
  const token = await there.runnerToken()
  const lost = await here.poll(token)
  expect([lost.status, lost.headers.get('retry-after')]).toEqual([503, '1'])
  await there.run(oneJob)
  const { body } = await there.poll(token)
  const foreign = new RunningJob(here, { id: body.id, token: body.token, projectId: 1, runnerToken: token })
  expect((await foreign.patch('0-2', 'log')).status).toBe(503)
  expect((await foreign.put({ state: 'success' })).status).toBe(503)
  const wrong = mintToken('instanceRunner', random, 1)
  expect((await here.poll(wrong)).status).toBe(403)
  expect((await here.poll(`${wrong}x`)).status).toBe(403)
})

it.each([
  ['glrt-t1_abcdefghijklmnopqrstuvwxyz', undefined],
  ['glpat-20-characters-and-so', undefined],
  ['c1-0123456789abcdef', 1],
  ['0123456789abcdef', undefined],
  ['', undefined],
  ['glcbt-a.b.c', undefined],
  [`glcbt-e30.${Buffer.from('{"cell":"7"}').toString('base64url')}.e30`, undefined],
  [`glcbt-e30.${Buffer.from('[]').toString('base64url')}.e30`, undefined],
  [`glrt-t1_${'A'.repeat(36)}.01.10aaaaaaa`, undefined],
])('reads the cell of %s', (text, cell) => {
  expect(cellOf(text)).toBe(cell)
})

it('says nothing of cells where there are none', async () => {
  await using box = await startShimBox('sqlite', { holdMs: 0 })
  const token = await box.runnerToken()
  expect(token).toMatch(/^glrt-t1_[\w-]{27}$/)
  const idle = await box.poll(token)
  expect(idle.headers.get('x-gitlab-last-update')).toMatch(/^[0-9a-f]{32}$/)
  await box.run(oneJob)
  const { body } = await box.poll(token)
  expect(Buffer.from(body.token.split('.')[1], 'base64url').toString()).not.toContain('cell')
  expect((await box.poll(mintToken('instanceRunner', random, 2))).status).toBe(403)
})

it('keeps a project’s runner to one top-level group where runners are isolated', async () => {
  for (const isolateRunners of [true, false]) {
    await using box = await startShimBox('sqlite', {}, { isolateRunners })
    const [first, near, far] = [
      await box.core.project(oneJob, 'one/a'),
      await box.core.project(oneJob, 'one/deep/b'),
      await box.core.project(oneJob, 'two/c'),
    ]
    const { body } = await box.admin('POST', '/user/runners', {
      json: { runner_type: 'project_type', project_id: first.id },
    })
    const enable = async (id: number) => box.admin('POST', `/projects/${id}/runners`, { json: { runner_id: body.id } })
    expect((await enable(near.id)).status).toBe(201)
    const answer = await enable(far.id)
    expect(answer.status).toBe(isolateRunners ? 403 : 201)
    if (isolateRunners) expect(answer.body.message).toContain('another top-level group')
  }
})
