// What plugins of others may cost the jobs: four in processes of their own, of which one never answers and one floods.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { sleep } from '../lib.mjs'
import { paced } from '../paced.mjs'

/** The body of `setup` by the id. */
const plugins = {
  'exporter.hangs': "host.export('hangs', { onEvents: () => new Promise(() => undefined) })",
  'exporter.floods': `host.export('floods', { async onEvents() {
    for (let i = 0; i < 1000; i++) { host.logger.info('x'.repeat(1000)); host.metrics.count('n') }
  } })`,
  'exporter.reads': "host.export('reads', { async onEvents() {} })",
  'executor.other': `host.executor('other', { capabilities: () => ['image'], runner: {
    async prepare() { return { facts: {} } }, async run() { return { exitCode: 0, signal: null } },
    async cancel() {}, async cleanUp() {}
  } })`,
}

function install(dir) {
  for (const [id, setup] of Object.entries(plugins)) {
    const folder = path.join(dir, id)
    mkdirSync(folder)
    // The coordinator of the bench is not bundled: the script of a plugin's process has its parts in many folders.
    const signalbox = { apiVersion: 1, kind: [id.split('.')[0]], permissions: ['fs-read'] }
    writeFileSync(
      path.join(folder, 'package.json'),
      JSON.stringify({ type: 'module', exports: './index.js', signalbox }),
    )
    writeFileSync(
      path.join(folder, 'index.js'),
      `import { definePlugin } from 'signalbox/plugin'
export default definePlugin({ id: '${id}', apiVersion: 1, setup(host) { ${setup} } })`,
    )
  }
  return Object.keys(plugins)
    .map((id) => `[[plugins]]\nuse = "./${id}"\n`)
    .join('')
}

/** What is not up costs nothing. */
async function allUp({ http, token }) {
  for (;;) {
    const answer = await fetch(`${http}/api/signalbox/v1/plugins`, { headers: { 'PRIVATE-TOKEN': token } })
    const up = (await answer.json()).filter(({ builtin, process }) => !builtin && process?.resident_bytes > 0)
    if (up.length === Object.keys(plugins).length) return
    await sleep(100)
  }
}

export async function* measure() {
  const without = await paced({ gapMs: 20, share: 0.99 })
  const beside = await paced({ gapMs: 20, share: 0.99, prepare: install, ready: allUp })
  yield {
    figure: 'received → runner received, p99, every 20 ms, beside four plugins of others',
    unit: 'µs',
    ours: beside.inner,
    floor: without.inner,
    against: 'without plugins',
    bar: 1.2,
    stretch: 1.1,
    note: 'one never answers, one writes 1,000 lines and metrics an event',
  }
}
