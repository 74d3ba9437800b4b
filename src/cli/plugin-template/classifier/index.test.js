import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evidence, recordedEvidence, startPlugin } from 'signalbox/plugin/testing'
import plugin from './index.js'

test('explains a failure that it knows, with the line that shows it', async (t) => {
  const rules = await startPlugin(plugin)
  t.after(() => rules.close())
  const verdict = await rules.classify(recordedEvidence().network)
  assert.equal(verdict.class, 'dependency')
  assert.deepEqual(verdict.lines, ['npm error connect ETIMEDOUT 192.0.2.1:443'])
  assert.equal(rules.metrics().signalbox_plugin_classifier_METRIC_matches_total, 1)
})

test('says nothing to what it does not know', async (t) => {
  const rules = await startPlugin(plugin, { config: { contains: 'oops' } })
  t.after(() => rules.close())
  assert.equal(await rules.classify(evidence({ traceTail: 'all well\n' })), undefined)
})

test('refuses a configuration that is not right', async () => {
  await assert.rejects(startPlugin(plugin, { config: { contains: 3 } }), /"contains": must be a text/)
})
