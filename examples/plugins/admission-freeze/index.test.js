import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admissionRequest, startPlugin } from 'signalbox/plugin/testing'
import plugin from './index.js'

const config = { from: '2026-12-24T00:00:00Z', until: '2026-12-27T00:00:00Z' }

test('holds jobs of main during the freeze, and no others', async (t) => {
  const freeze = await startPlugin(plugin, { config })
  t.after(() => freeze.close())
  const on = (ref, now) => freeze.admit(admissionRequest({ job: { ref }, now: Date.parse(now) }))
  assert.deepEqual(await on('main', '2026-12-26T23:59:00Z'), {
    verdict: 'hold',
    reason: 'Jobs of main wait until 2026-12-27T00:00:00.000Z.',
    seconds: 60,
  })
  assert.deepEqual(await on('main', '2026-12-27T00:00:00Z'), { verdict: 'admit' })
  assert.deepEqual(await on('main', '2026-12-23T23:59:59Z'), { verdict: 'admit' })
  assert.deepEqual(await on('topic', '2026-12-25T00:00:00Z'), { verdict: 'admit' })
})

test('refuses a freeze that ends before it begins', async () => {
  const backwards = { from: config.until, until: config.from }
  await assert.rejects(startPlugin(plugin, { config: backwards }), /"until": must be later than from/)
})
