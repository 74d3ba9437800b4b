// Idle polls answered 204 a second with 1,000 runner tokens, a real token check and a real look at the queue, beside
// minimal Express with its JSON parser.
import { child, inFolder, repeat, scaled } from '../lib.mjs'

const tokens = scaled(1000, 20)
const seconds = scaled(2, 0.2)

export async function* measure() {
  const express = child('floors/express-204.mjs')
  const floorPoller = child('product/poller.mjs')
  const port = await express.ask('start')
  const some = Array.from({ length: tokens }, (_, i) => `glrt-t1_${String(i).padStart(27, 'x')}`)
  await floorPoller.ask('poll', { port, tokens: some, seconds: seconds / 2 })
  const floor = await repeat(() => floorPoller.ask('poll', { port, tokens: some, seconds }))
  await floorPoller.stop()
  await express.stop()
  const ours = await inFolder(async (dir) => {
    const server = child('product/server.mjs')
    // The limit on polls of one runner is for runners; this is one machine asking for a thousand.
    const { http } = await server.ask('start', { dir, toml: '[poll]\nhold = 0\nrate = 0\n' })
    const made = await server.ask('runners', { count: tokens })
    const poller = child('product/poller.mjs')
    const input = { port: Number(new URL(http).port), tokens: made.map((one) => one.token), seconds }
    await poller.ask('poll', { ...input, warm: true, seconds: seconds / 2 })
    const rate = await repeat(() => poller.ask('poll', input))
    await poller.stop()
    await server.ask('stop')
    await server.stop()
    return rate
  })
  yield {
    figure: 'idle polls answered 204 a second, 1,000 runner tokens',
    unit: '1/s',
    ours,
    floor,
    against: 'minimal Express 5 + json',
    bar: 0.8,
    stretch: 2,
    better: 'more',
  }
}
