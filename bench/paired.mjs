// Compares builds of the product: all alive at once, measured in short alternating windows, so that their ratios hold on a
// noisy machine. `node bench/paired.mjs ROUNDS DIST…`: folders of built copies (`dist`); the first is what the others are
// compared with. `MODES=50,1`: jobs a pipeline; `SCALE`: longer windows; `DB=postgres://…/name`: on PostgreSQL, with
// databases name0, name1 and so on.
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { child, inFolder, summary } from './lib.mjs'

const [rounds, ...dists] = process.argv.slice(2)
const modes = (process.env.MODES ?? '50,1').split(',').map(Number)
const scale = Number(process.env.SCALE ?? 1)
if (!(Number(rounds) > 0) || dists.length < 2) throw new Error('node bench/paired.mjs ROUNDS DIST DIST …')

const configOf = (jobs) =>
  JSON.stringify(Object.fromEntries(Array.from({ length: jobs }, (_, i) => [`job-${i}`, { script: 'true' }])))
const lives = { window: (jobs) => (jobs === 1 ? 100 : 8), warm: (jobs) => (jobs === 1 ? 500 : 24) }

await inFolder(async (root) => {
  const builds = []
  for (const [i, dist] of dists.entries()) builds.push(await start(path.join(root, String(i)), dist, i))
  for (const jobs of modes) {
    for (const build of builds) await window(build, jobs, lives.warm(jobs))
    for (let round = 0; round < Number(rounds); round++) {
      for (const build of round % 2 ? builds.toReversed() : builds) {
        build.got[jobs].push(await window(build, jobs, lives.window(jobs)))
      }
    }
    console.log(`${jobs} jobs a pipeline, ${rounds} rounds of ${lives.window(jobs) * jobs * scale} lives`)
    for (const build of builds) tell(build, builds[0], jobs)
  }
  for (const { runners, server } of builds) {
    await runners.stop()
    await server.ask('stop')
    await server.stop()
  }
})

async function start(dir, dist, index) {
  mkdirSync(dir)
  process.env.DIST = path.resolve(dist)
  const server = child('product/server.mjs')
  const toml = process.env.DB ? `database = "${process.env.DB}${index}"\n` : ''
  const { http, grpc, token } = await server.ask('start', { dir, toml })
  const [runner] = await server.ask('runners', { count: 1 })
  const runners = child('product/runners.mjs')
  await runners.ask('open', { carrier: 'grpc', url: grpc, token: runner.token, count: 100, work: true })
  const to = {}
  for (const jobs of modes) {
    const project = await server.ask('project', { name: `lives-${jobs}`, config: configOf(jobs) })
    to[jobs] = { url: http, token, project }
  }
  return { dist, server, runners, to, got: Object.fromEntries(modes.map((jobs) => [jobs, []])) }
}

async function window({ server, runners, to }, jobs, pipelines) {
  const before = await server.ask('stat')
  const count = Math.round(pipelines * scale)
  const rate = await runners.ask('lives', { to: to[jobs], jobs, pipelines: count, outstanding: jobs === 1 ? 32 : 100 })
  const after = await server.ask('stat')
  const life = (figure) => (after[figure] - before[figure]) / (jobs * count)
  return { main: life('mainUs'), process: life('cpuUs'), rate }
}

function tell({ dist, got }, base, jobs) {
  const ratio = (figure) => got[jobs].map((one, i) => one[figure] / base.got[jobs][i][figure]).sort((a, b) => a - b)
  const quarter = (list, at) => list[Math.floor(at * (list.length - 1))].toFixed(3)
  const main = ratio('main')
  const spread = `[${quarter(main, 0.25)} ${quarter(main, 0.75)}]`
  const median = (list) => summary(list).median
  console.log(
    `  ${dist}: main thread ${median(got[jobs].map((one) => one.main)).toFixed(0)} µs a life, ratio ${median(main).toFixed(3)} ${spread}; process ${median(ratio('process')).toFixed(3)}; rate ${median(ratio('rate')).toFixed(3)}`,
  )
}
