// How fast committed events reach exporters: one of others in a process of its own, and two of ours, each event to all three.
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import path from 'node:path'
import { child, inFolder, runs, scaled, sleep, summary } from '../lib.mjs'

const count = scaled(20_000, 1000)
const mib = 1024 ** 2

/** Takes what the webhook posts. */
async function receiver() {
  const server = createServer((req, res) => req.resume().on('end', () => res.writeHead(204).end()))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** The text of signalbox.toml with three exporters. */
function install(dir, port) {
  const folder = path.join(dir, 'reads')
  mkdirSync(folder)
  // The coordinator of the bench is not bundled: the script of a plugin's process has its parts in many folders.
  const signalbox = { apiVersion: 1, kind: ['exporter'], permissions: ['fs-read'] }
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module', exports: './index.js', signalbox }))
  writeFileSync(
    path.join(folder, 'index.js'),
    `import { definePlugin } from 'signalbox/plugin'
export default definePlugin({ id: 'exporter.reads', apiVersion: 1, setup(host) {
  host.export('reads', { async onEvents(events) { host.metrics.count('events', {}, events.length) } })
} })`,
  )
  writeFileSync(path.join(dir, 'secret'), 'x'.repeat(32))
  return `[[plugins]]
use = "./reads"
[[plugins]]
use = "exporter.jsonl"
[plugins.config]
file = "${dir}/events.jsonl"
[[plugins]]
use = "exporter.webhook"
[plugins.config]
url = "http://127.0.0.1:${port}/"
secret_file = "${dir}/secret"
`
}

export async function* measure() {
  const posted = await receiver()
  try {
    yield* await inFolder(async (dir) => {
      const server = child('product/server.mjs')
      await server.ask('start', { dir, toml: install(dir, posted.address().port) })
      while ((await server.ask('exported')).holders < 3) await sleep(50)
      const [rates, grown] = [[], []]
      for (let i = 0; i < runs + 1; i++) {
        const before = await server.ask('memory')
        const { tookUs } = await server.ask('export', { count })
        const after = await server.ask('memory')
        if (i === 0 && runs > 1) continue
        rates.push((count * 1e6) / tookUs)
        grown.push(Math.max(0, after - before) / mib)
      }
      await server.ask('stop')
      await server.stop()
      return [
        {
          figure: 'events to each of three exporters',
          unit: '/s',
          ours: summary(rates),
          bar: 1000,
          stretch: 5000,
          better: 'more',
        },
        {
          figure: `memory that ${count.toLocaleString('en')} exported events leave`,
          unit: 'MiB',
          ours: summary(grown),
          bar: 64,
          stretch: 32,
        },
      ]
    })
  } finally {
    posted.close()
  }
}
