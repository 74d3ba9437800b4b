import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPipeline } from '../../src/core/operations/create-pipeline.js'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'

onBothEngines((engine) => {
  let box: ShimBox
  let id: number
  const title = 'All of it'
  beforeAll(async () => {
    box = await startShimBox(engine)
    const name = 'of $CI_OPEN_MERGE_REQUESTS'
    const test = { script: 'x', rules: [{ if: '$CI_PIPELINE_SOURCE == "merge_request_event"' }] }
    const branch = { script: 'x', rules: [{ if: '$CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS == null' }] }
    id = (await box.core.project({ workflow: { name }, test, branch }, 'acme/app')).id
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const at = (path = '') => `/projects/${id}/merge_requests${path}`

  it('opens a request, which starts a pipeline, and starts another when asked', async () => {
    const json = { source_branch: 'topic', target_branch: 'main', title }
    const made = await box.admin('POST', at(), { json })
    expect([made.status, made.body]).toEqual([201, expect.objectContaining({ iid: 1, state: 'opened', ...json })])
    const run = await box.admin('POST', at('/1/pipelines'))
    expect([run.status, run.body]).toEqual([
      201,
      expect.objectContaining({ source: 'merge_request_event', ref: 'refs/merge-requests/1/head' }),
    ])
    const pipelines = (await box.admin('GET', at('/1/pipelines'))).body
    expect(pipelines.map((one: { id: number }) => one.id)).toEqual([run.body.id, expect.any(Number)])
    expect((await box.admin('GET', at('?state=opened'))).body).toMatchObject([{ iid: 1 }])
    const second = await box.admin('POST', at(), { json: { ...json, source_branch: 'other' } })
    expect(second.body.iid).toBe(2)
  })

  it('lets the rules of a push and of the request know of requests from its branch', async () => {
    const pushed = (ref: string) =>
      createPipeline(box.core.core, { projectId: id, ref, source: 'push', user: null, onInvalid: 'keep' })
    expect(await pushed('topic')).toBeUndefined()
    expect(await pushed('main')).toMatchObject({ name: 'of' })
    expect((await box.admin('POST', at('/1/pipelines'))).body.name).toBe('of acme/app!1')
  })

  it('refuses what cannot be a request, and changes nothing', async () => {
    const json = { source_branch: 'topic', target_branch: 'main', title }
    for (const [method, path, sent, status, message] of [
      ['POST', '', { ...json, source_branch: 'main' }, 400, /must not be the target branch/],
      ['POST', '', { ...json, source_branch: 'missing' }, 400, /source_branch.*does not exist/],
      ['POST', '', { ...json, target_branch: 'missing' }, 400, /target_branch.*does not exist/],
      ['POST', '', { source_branch: 'topic', target_branch: 'main' }, 400, /title is missing/],
      ['POST', '', json, 409, /Another open merge request already exists for this source branch: !1/],
      ['PUT', '/1', {}, 400, /at least one parameter/],
      ['PUT', '/1', { state_event: 'merge' }, 400, /state_event/],
      ['POST', '/9/pipelines', {}, 404, /Merge Request Not Found/],
      ['GET', '/x', {}, 404, /Merge Request Not Found/],
    ] as const) {
      const { answer, tables } = await box.changes(() =>
        box.admin(method, at(path), method === 'GET' ? {} : { json: sent }),
      )
      expect([answer.status, answer.text]).toEqual([status, expect.stringMatching(message)])
      expect(tables).toEqual([])
    }
    expect((await box.send('POST', at(), { json })).status).toBe(401)
  })

  it('closes and reopens one', async () => {
    const changed = await box.admin('PUT', at('/1'), { json: { state_event: 'close', title: 'Less of it' } })
    expect([changed.status, changed.body.state, changed.body.title]).toEqual([200, 'closed', 'Less of it'])
    expect((await box.admin('POST', at('/1/pipelines'))).text).toMatch(/The merge request is closed/)
    const json = { source_branch: 'topic', target_branch: 'main', title }
    expect((await box.admin('POST', at(), { json })).body.iid).toBe(3)
    expect((await box.admin('PUT', at('/1'), { json: { state_event: 'reopen' } })).status).toBe(409)
  })
})
