import { afterAll, beforeAll, expect, it } from 'vitest'
import { onBothEngines } from '../support/stores.js'
import { type ShimBox, startShimBox } from './support/box.js'

onBothEngines((engine) => {
  let box: ShimBox
  let id: number
  let other: number
  beforeAll(async () => {
    box = await startShimBox(engine)
    other = (await box.core.project({ test: { script: 'x' } }, 'acme/other')).id
    const rules = [{ if: '$CI_MERGE_REQUEST_EVENT_TYPE == "merge_train"' }]
    id = (await box.core.project({ test: { script: 'x', rules } }, 'acme/app')).id
    for (const name of ['one', 'two', 'three']) {
      const json = { source_branch: name, target_branch: 'feature/x', title: name === 'three' ? 'Draft: 3' : name }
      await box.admin('POST', `/projects/${id}/merge_requests`, { json })
    }
  })
  afterAll(() => box[Symbol.asyncDispose]())

  const at = (path = '') => `/projects/${id}/merge_trains${path}`
  const add = (iid: number | string, json: object = {}) => box.admin('POST', at(`/merge_requests/${iid}`), { json })

  it('is there for projects that run merged results', async () => {
    expect((await add(1)).status).toBe(403)
    await box.admin('PUT', `/projects/${id}`, { json: { merge_pipelines_enabled: true } })
  })

  it('adds requests, and shows the train', async () => {
    const first = await add(1)
    expect([first.status, first.body]).toEqual([
      201,
      [
        expect.objectContaining({
          merge_request: expect.objectContaining({ iid: 1, project_id: id, title: 'one', state: 'opened' }),
          user: expect.objectContaining({ id: box.core.admin.id }),
          pipeline: expect.objectContaining({ ref: 'refs/merge-requests/1/train', source: 'merge_request_event' }),
          target_branch: 'feature/x',
          status: 'fresh',
          merged_at: null,
          duration: null,
        }),
      ],
    ])
    const both = (await add(2, { sha: box.core.repositories.sha })).body
    const iids = (body: { merge_request: { iid: number } }[]) => body.map((one) => one.merge_request.iid)
    expect(iids(both)).toEqual([1, 2])
    expect(iids((await box.admin('GET', at())).body)).toEqual([2, 1])
    expect(iids((await box.admin('GET', at('/feature%2Fx?scope=active&sort=asc&per_page=1'))).body)).toEqual([1])
    expect((await box.admin('GET', at('/other'))).body).toEqual([])
    expect((await box.admin('GET', at('?scope=complete'))).body).toEqual([])
    expect((await box.admin('GET', at('/merge_requests/2'))).body).toEqual(both[1])
    const pipelines = (await box.admin('GET', `/projects/${id}/merge_requests/1/pipelines`)).body
    expect(pipelines).toMatchObject([{ ref: 'refs/merge-requests/1/train' }])
  })

  it('refuses what cannot be in a train, and changes nothing', async () => {
    for (const [method, path, json, status, message] of [
      ['POST', at('/merge_requests/1'), {}, 409, /in the merge train already/],
      ['POST', at('/merge_requests/3'), {}, 400, /is a draft/],
      ['POST', at('/merge_requests/9'), {}, 404, /Merge Request Not Found/],
      ['POST', at('/merge_requests/x'), {}, 404, /Merge Request Not Found/],
      ['POST', at('/merge_requests/1'), { squash: true }, 400, /squash is not supported/],
      ['POST', at('/merge_requests/1'), { auto_merge: true }, 400, /auto_merge is not supported/],
      ['POST', at('/merge_requests/1'), { sha: 'f'.repeat(40) }, 409, /SHA does not match HEAD of source branch/],
      ['POST', `/projects/${other}/merge_trains/merge_requests/1`, {}, 404, /Merge Request Not Found/],
      ['GET', at('/merge_requests/3'), undefined, 404, /Merge Train Merge Request Not Found/],
      ['GET', at('?scope=some'), undefined, 400, /scope/],
      ['DELETE', at('/merge_requests/3'), undefined, 404, /Not Found/],
    ] as const) {
      const { answer, tables } = await box.changes(() => box.admin(method, path, json === undefined ? {} : { json }))
      expect([path, answer.status, answer.text]).toEqual([path, status, expect.stringMatching(message)])
      expect(tables).toEqual([])
    }
    expect((await box.send('POST', at('/merge_requests/1'), { json: {} })).status).toBe(401)
  })

  it('lets one go, which its request says', async () => {
    expect((await box.admin('DELETE', at('/merge_requests/1'))).status).toBe(204)
    const request = (await box.admin('GET', `/projects/${id}/merge_requests/1`)).body
    expect(request).toMatchObject({ state: 'opened', merge_error: 'It was taken out of its merge train' })
    const json = { state_event: 'close' }
    expect((await box.admin('PUT', `/projects/${id}/merge_requests/2`, { json })).text).toMatch(/"state":"closed"/)
    expect((await box.admin('GET', at('?scope=active'))).body).toEqual([])
    expect((await add(2)).text).toMatch(/The merge request is closed/)
  })
})
