import assert from 'node:assert/strict'
import { test } from 'node:test'
import { admissionRequest, startPlugin } from 'signalbox/plugin/testing'
import plugin from './index.js'

const config = { refs: ['main'], until: '2030-01-01T00:00:00Z' }

test('holds the jobs of a branch until the moment has come', async (t) => {
  const rule = await startPlugin(plugin, { config })
  t.after(() => rule.close())
  const early = admissionRequest({ job: { ref: 'main' }, now: Date.parse('2029-12-31T23:59:30Z') })
  assert.deepEqual(await rule.admit(early), {
    verdict: 'hold',
    reason: 'Jobs of main wait until 2030-01-01T00:00:00Z.',
    seconds: 30,
  })
  const late = admissionRequest({ job: { ref: 'main' }, now: Date.parse('2030-01-01T00:00:00Z') })
  assert.deepEqual(await rule.admit(late), { verdict: 'admit' })
})

test('lets the jobs of others go', async (t) => {
  const rule = await startPlugin(plugin, { config })
  t.after(() => rule.close())
  assert.deepEqual(await rule.admit(admissionRequest({ job: { ref: 'topic' } })), { verdict: 'admit' })
})
