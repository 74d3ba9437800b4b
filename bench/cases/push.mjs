// How soon a job that can run is with its runner, beside the least that such a push can cost: a message on an idle stream
// and one insert that is on disk.
import { child, idleStreams, inFolder, percentile, runs, scaled, sleep, summary } from '../lib.mjs'
import { paced as product } from '../paced.mjs'
import { pacedLatency } from '../peers/bullmq.mjs'

export async function* measure() {
  const floor = await bare()
  const one = await product({ idle: 0, gapMs: 2 })
  yield {
    figure: 'coordinator received → runner received, p50, durable, every 2 ms',
    unit: 'µs',
    ours: one.inner,
    floor,
    against: 'bare gRPC push + one FULL insert',
    bar: 4,
    stretch: 2.5,
  }
  const many = await product({ idle: idleStreams, gapMs: 2 })
  yield {
    figure: `the same with ${idleStreams.toLocaleString('en')} idle runners`,
    unit: 'µs',
    ours: many.inner,
    floor: one.inner,
    against: 'the same with one runner',
    bar: 1.5,
    stretch: 1.3,
  }
  const paced = await product({ idle: 0, gapMs: 20 })
  yield {
    figure: 'submit → runner received, p50, every 20 ms',
    unit: 'µs',
    ours: paced.whole,
    floor: await pacedLatency({ count: scaled(100, 10), gapMs: 20 }),
    against: 'BullMQ, Redis with an append-only file synced each second',
    bar: 1.8,
    stretch: 1,
  }
  yield {
    figure: 'submit → runner received, p50, in place of polling',
    unit: 'µs',
    ours: paced.whole,
    floor: await polling(),
    against: '1,000 runners that poll every 3 s, one of them eligible',
    bar: 1 / 200,
    stretch: 1 / 1000,
  }
}

/** Median of bare push plus median of bare insert, run by run. */
async function bare() {
  const pusher = child('floors/grpc-push.mjs', ['server'])
  const client = child('floors/grpc-push.mjs', ['client'])
  const port = await pusher.ask('start')
  await client.ask('open', { port, streams: 1 })
  await sleep(500)
  const values = []
  await inFolder(async (dir) => {
    const store = child('floors/sqlite-insert.mjs')
    await store.ask('open', { dir })
    for (let i = 0; i < runs + 1; i++) {
      await pusher.ask('push', { count: scaled(400, 20), gapMs: 2 })
      const push = percentile(await client.ask('samples'), 0.5)
      const insert = percentile(await store.ask('insert', { count: scaled(400, 20), gapMs: 2 }), 0.5)
      if (i > 0) values.push(push + insert)
    }
    await store.stop()
  })
  await pusher.stop()
  await client.stop()
  return summary(values)
}

/** How long a job waits for the one of a thousand polling runners that may take it. */
async function polling() {
  const server = child('floors/polling.mjs', ['server'])
  const runners = child('floors/polling.mjs', ['runners'])
  const port = await server.ask('start')
  const everyMs = scaled(3000, 200)
  await runners.ask('start', { port, everyMs })
  await sleep(2 * everyMs)
  const values = []
  for (let i = 0; i < runs; i++) {
    for (let job = 0; job < scaled(40, 4); job++) {
      await server.ask('submit')
      await sleep(50)
    }
    let waits = []
    // A machine that is busy with other things takes longer.
    for (let looks = 0; waits.length === 0 && looks < 50; looks++) {
      await sleep(everyMs + 200)
      waits = await runners.ask('waits')
    }
    if (waits.length === 0) throw new Error('no polling runner has got a job')
    values.push(percentile(waits, 0.5))
  }
  for (const one of [runners, server]) await one.stop()
  return summary(values)
}
