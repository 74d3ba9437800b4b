import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { recordedEvents, startPlugin } from 'signalbox/plugin/testing'
import plugin from './index.js'

test('writes down which pipelines have failed, each once', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'NAME-'))
  const file = path.join(folder, 'failed.txt')
  const exporter = await startPlugin(plugin, { config: { file } })
  t.after(async () => {
    await exporter.close()
    await rm(folder, { recursive: true })
  })
  await exporter.export(recordedEvents())
  // At least once means that it may come again.
  await exporter.export(recordedEvents())
  assert.equal(await readFile(file, 'utf8'), 'pipeline 1 failed\n')
  assert.equal(exporter.metrics().signalbox_plugin_exporter_METRIC_failures_total, 1)
})
