// Submits pipelines over one kept-alive connection each, paced or as many as are wanted at once.
import { nowUs, serve, sleep } from '../lib.mjs'
import { submit } from './submit.mjs'

let pace

serve({
  /** One every `gapMs` until `end`, however long the answers take. */
  begin({ to, gapMs }) {
    const waits = []
    const send = async () => {
      const started = performance.now()
      await submit(to)
      return performance.now() - started
    }
    const timer = setInterval(() => waits.push(send()), gapMs)
    pace = { timer, waits }
  },
  /** Gives how long each took until its answer was here, in milliseconds. */
  end() {
    clearInterval(pace.timer)
    return Promise.all(pace.waits)
  },
  /** One every `gapMs`; gives when each was sent. */
  async paced({ to, count, gapMs }) {
    const sent = []
    const answers = []
    for (let i = 0; i < count; i++) {
      sent.push(nowUs())
      answers.push(submit(to))
      await sleep(gapMs)
    }
    await Promise.all(answers)
    return sent
  },
  /** So many at a time until `count` are submitted; gives when the first was sent. */
  async burst({ to, count, atOnce }) {
    const started = nowUs()
    let left = count
    const worker = async () => {
      while (left-- > 0) await submit(to)
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    return started
  },
})
