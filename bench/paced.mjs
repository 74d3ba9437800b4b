// A coordinator that is given jobs at a pace, and how soon each is with its runner.
import { child, inFolder, percentile, runs, scaled, summary } from './lib.mjs'

const config = JSON.stringify({ hi: { script: 'true' } })

/**
 * Pushes to one runner that works beside `idle` others that no job fits, one every `gapMs`: microseconds from received (`inner`)
 * and from sent (`whole`) to the runner, at `share` of the samples of each run. `prepare(dir)` gives the text of signalbox.toml,
 * and `ready(door)` waits for what that makes it start.
 */
export async function paced({ idle = 0, gapMs, share = 0.5, prepare = () => '', ready = async () => undefined }) {
  return inFolder(async (dir) => {
    const server = child('product/server.mjs')
    const { http, grpc, token } = await server.ask('start', { dir, toml: prepare(dir) })
    await ready({ http, token })
    const [worker] = await server.ask('runners', { count: 1 })
    const project = await server.ask('project', { name: 'push', config })
    const runner = child('product/runners.mjs')
    const others = child('product/runners.mjs')
    if (idle > 0) {
      const [sleeper] = await server.ask('runners', { count: 1, tags: ['none'], runUntagged: false })
      await others.ask('open', { carrier: 'grpc', url: grpc, token: sleeper.token, count: idle, work: true, from: 1 })
    }
    // Never short of credit: what is measured is the push, not the life before it.
    await runner.ask('open', { carrier: 'grpc', url: grpc, token: worker.token, count: 1, capacity: 64, work: true })
    const submitter = child('product/submitter.mjs')
    const inner = []
    const whole = []
    const count = scaled(gapMs === 2 ? 300 : 100, 10)
    for (let i = 0; i < runs + 1; i++) {
      await runner.ask('arm', { count })
      await server.ask('received')
      const sent = await submitter.ask('paced', { to: { url: http, token, project }, count, gapMs })
      const { arrived } = await runner.ask('wait')
      const received = await server.ask('received')
      if (i === 0) continue
      inner.push(
        percentile(
          arrived.map((at, n) => at - received[n]),
          share,
        ),
      )
      whole.push(
        percentile(
          arrived.map((at, n) => at - sent[n]),
          share,
        ),
      )
    }
    for (const one of [submitter, runner, others]) await one.stop()
    await server.ask('stop')
    await server.stop()
    return { inner: summary(inner), whole: summary(whole) }
  })
}
