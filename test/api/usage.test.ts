import { afterAll, beforeAll, expect, it } from 'vitest'
import { ShimBox } from '../shim/support/box.js'
import { person } from '../shim/support/people.js'
import { startTestCore } from '../support/core.js'

let box: ShimBox
beforeAll(async () => {
  box = await new ShimBox(await startTestCore('sqlite'), {}).start()
  await box.core.project({ j: { script: 'x' } }, 'acme/app')
  await box.core.runner()
})
afterAll(() => box[Symbol.asyncDispose]())

const base = '/api/signalbox/v1/usage'

it('shows what was used, and takes limits and factors', async () => {
  expect(await box.admin('PUT', `${base}/limits/acme`, { json: { minutes: 5 } })).toMatchObject({ status: 200 })
  const answer = await box.admin('GET', base)
  const namespaces = [{ id: 1, path: 'acme', minutes: 0, limit: 5, warning: null, projects: [] }]
  expect(answer.body).toMatchObject({
    namespaces: [expect.objectContaining({ ...namespaces[0], id: expect.any(Number) })],
  })
  expect((await box.admin('PUT', `${base}/limits/acme`, { json: { minutes: null } })).status).toBe(200)
  expect((await box.admin('GET', base)).body.namespaces).toEqual([])
  const factors = await box.admin('PUT', `${base}/cost-factors/1`, { json: { public: 0.5, private: 2 } })
  expect(factors.body).toEqual({ runner_id: 1, public: 0.5, private: 2 })
})

it.each([
  ['PUT', '/limits/acme', {}, 400],
  ['PUT', '/limits/acme', { minutes: -1 }, 400],
  ['PUT', '/limits/nobody', { minutes: 1 }, 404],
  ['PUT', '/cost-factors/1', { public: 'x', private: 1 }, 400],
  ['PUT', '/cost-factors/9', { public: 1, private: 1 }, 404],
  ['GET', '?month=2026-13', undefined, 400],
])('refuses %s %s %j with %i, and changes nothing', async (method, path, json, status) => {
  const { answer, tables } = await box.changes(() =>
    box.admin(method, `${base}${path}`, json === undefined ? {} : { json }),
  )
  expect(answer.status, answer.text).toBe(status)
  expect(tables).toEqual([])
})

it('is for administrators', async () => {
  const { token } = await person(box, 'ada')
  expect((await box.send('GET', base, { headers: { 'PRIVATE-TOKEN': token } })).status).toBe(403)
  expect((await box.send('GET', base)).status).toBe(401)
})
