// How long others wait for the answer to a small pipeline while one tenant submits four pipelines of 2,000 jobs at once, until
// all of their jobs are queued; beside the same with nobody else.
import { child, inFolder, percentile, runs, scaled, sleep, summary } from '../lib.mjs'
import { bigConfig } from '../product/big-config.mjs'

const jobs = scaled(2000, 60)
const atOnce = 4
const gapMs = 20

export async function* measure() {
  const { alone, meanwhile, queued } = await inFolder(product)
  const figure = `submit of ${atOnce} pipelines of ${jobs.toLocaleString('en')} jobs`
  yield {
    figure: `${figure}: others’ submit p99 meanwhile`,
    unit: 'ms',
    ours: summary(meanwhile),
    bar: 200,
    stretch: 50,
    note: `alone: ${summary(alone).median.toFixed(1)} ms`,
  }
  yield { figure: `${figure}: until all are queued`, unit: 'ms', ours: summary(queued) }
}

async function product(dir) {
  const server = child('product/server.mjs')
  const { http: url, token } = await server.ask('start', { dir, threads: true })
  const small = await server.ask('project', { name: 'small', config: JSON.stringify({ hi: { script: 'true' } }) })
  const large = await server.ask('project', { name: 'large', config: bigConfig(jobs) })
  // A third of the jobs has its turn at once, the other stages wait for it.
  const first = Math.ceil(jobs / 3)
  const others = child('product/submitter.mjs')
  const tenant = child('product/submitter.mjs')
  const results = { alone: [], meanwhile: [], queued: [] }
  for (let i = 0; i < runs + 1; i++) {
    await others.ask('begin', { to: { url, token, project: small }, gapMs })
    await sleep(scaled(3000, 200))
    const alone = await others.ask('end')
    await others.ask('begin', { to: { url, token, project: small }, gapMs })
    const started = performance.now()
    await tenant.ask('burst', { to: { url, token, project: large }, count: atOnce, atOnce })
    while ((await server.ask('queued', { project: large })) < (i + 1) * atOnce * first) await sleep(5)
    const queued = performance.now() - started
    const meanwhile = await others.ask('end')
    // The first compiles.
    if (i === 0) continue
    results.alone.push(percentile(alone, 0.99))
    results.meanwhile.push(percentile(meanwhile, 0.99))
    results.queued.push(queued)
  }
  for (const one of [others, tenant, server]) await one.stop()
  return results
}
