import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evidence, recordedEvidence, startPlugin } from 'signalbox/plugin/testing'
import plugin from './index.js'

const patterns = [{ contains: 'ETIMEDOUT', class: 'dependency', retryable: true, explanation: 'The mirror is slow.' }]

test('says in its own words what it finds', async (t) => {
  const words = await startPlugin(plugin, { config: { patterns } })
  t.after(() => words.close())
  assert.deepEqual(await words.classify(recordedEvidence().network), {
    reason: 'script_failure',
    class: 'dependency',
    retryable: true,
    explanation: 'The mirror is slow.',
  })
  assert.deepEqual(words.metrics(), { 'signalbox_plugin_classifier_own_words_matches_total{class="dependency"}': 1 })
  assert.equal(await words.classify(evidence()), undefined)
})

test('names each key that is not right', async () => {
  const config = { patterns: [{ contains: '' }], level: 1 }
  await assert.rejects(startPlugin(plugin, { config }), /"level": unknown key; "patterns.0.contains": must be a text/)
})
