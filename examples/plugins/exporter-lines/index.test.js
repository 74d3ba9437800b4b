import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { recordedEvents, startPlugin } from 'signalbox/plugin/testing'
import plugin from './index.js'

test('writes each event once, whatever comes again and wherever a line was cut off', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'jsonl-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = path.join(folder, 'events.jsonl')
  const [events, half] = [recordedEvents(), recordedEvents().slice(0, 15)]
  const first = await startPlugin(plugin, { config: { file } })
  await first.export(half)
  await first.close()
  await appendFile(file, '{"id":16,"at":')
  const second = await startPlugin(plugin, { config: { file } })
  await second.export(events)
  await second.export(events)
  await second.close()
  const lines = (await readFile(file, 'utf8')).trim().split('\n')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    events,
  )
  assert.equal(second.metrics().signalbox_plugin_exporter_lines_events_total, events.length - half.length)
})
